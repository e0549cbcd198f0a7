"""What pages show, made ready for their templates; nothing here knows of HTTP.

time_range     the spans of time that pages offer
series         figures over time, by column, as charts take them
budgets        what each key has spent of its budget
troubles       what is wrong right now, worst first
explanations   words for states, causes and ends
timeline       one request's attempts, waits and skips in their order
deployments    where models are served, and how that goes
periods        calendar periods, and what each is compared with
comparison     what was used, beside the period before
capture_list   the debug log's files, a page at a time
term_form      the forms of keys and teams: what stands in them, what was written
key_use        what a person pastes to try a key
key_names      names of keys that fields suggest
masked_config  the running configuration without its secrets
"""
