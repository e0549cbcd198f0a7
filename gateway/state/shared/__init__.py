"""Limits that several processes keep in one place, and what each does while it is out of reach.

In reading order:

    store    what such a place can do; `state/redis/` is one, the supervisor of workers another
    link     the way to it: a time-out for each question, one failure opens its own breaker, and a
             task beside the requests finds out when it can be reached again
    share    meanwhile each process admits its part of every limit by itself
    grant    a request's grant, by the store or by the share
    endings  ends of requests, which nobody waits for
    limits   `Limits` of `proxy/protocols.py`, from these
    exact    what the place itself says of limits
    records  compares what is counted of budgets with what is on record
"""
