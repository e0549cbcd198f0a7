"""Which requests are admitted, and which must wait or come back later: pure decisions.

In reading order:

    bucket      requests or tokens per minute, by GCRA: one float
    budget      dollars per calendar window, in integer nano-dollars
    account     what one scope may use and has used: both buckets, its budget, its leases
    ledger      the accounts of all scopes: `admit` checks every limit of every scope and only then
                reserves; `settle` puts the true usage in the reserve's place
    grants      what a request asks for, and what it gets
    refusals    sentences for callers whom a limit keeps out
    operations  what processes say to the place where they share limits
    sharing     such a place, for processes of one host
    ledger_state  what it holds, for the program that goes on with it
    estimate    how many tokens a request will need, before a model has seen it
    prompt_text  the texts of a prompt, and what a tokenizer's count of them comes to
    headers     OpenAI's `x-ratelimit-*`
    fair_queue  which request is next for a slot
    shedding    how much to turn away when the process has too much to do

A request passes several scopes at once ("token:NAME", "global", "provider:NAME"), and a refusal
by one of them charges none. `now` is seconds of a monotonic clock and paces buckets; `epoch` is
Unix seconds and turns the windows of budgets.
"""
