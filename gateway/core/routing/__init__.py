"""Which deployment a request tries next, and what its attempts teach: pure decisions.

In reading order:

    call, deployment, timeouts   what there is to call, with its keys and its deadlines
    causes, refusals             why an attempt failed, and what follows from that
    attempts                     the attempts of one request, one after another
    backoff, cooldown            how long to wait before the next, and what a provider asked for
    balancing/                   the order in which the deployments of a pool are tried
    breaker/                     keeps requests away from a deployment that fails
    blame/                       whose fault a failure is: one caller's, or the deployment's
    keys                         a deployment's keys: which is next, and which rest
    retry_budget                 keeps retries from multiplying the load of a deployment
    health                       latencies and counts of a deployment, and how it is reported
    target, entered              all that is known of one deployment: the five above together;
                                 what an attempt holds of it
    hedging                      when a second attempt is started beside a slow one

`state/health.py` keeps the targets and applies them to attempts; `proxy/attempts/` makes the
attempts. `now` is seconds of a monotonic clock; `rng` returns uniform numbers in [0, 1).
"""
