"""What operators change while the gateway runs, as it is kept for all of its processes.

Each change is one transaction, in which `gateway/control/` uses these:

    generations  how often something has changed: what each process asks for once a second
    deployments  what operators have ordered: drains and resets
    cancellations  requests that operators want cancelled
    capture_windows  keys whose requests are kept for a while
    grants       secrets for minutes that stand for a key
    processes    the processes that are there, as each says it is
    stored_keys  the keys that are kept in the database
    stored_teams  the limits of teams that are kept there
"""
