"""What is short-lived and shared between requests, in two halves.

    health  what this process has learned of deployments: breakers, keys, retry budgets,
            latencies. Local, never awaited. `key_verdicts` judges keys; `health_log` and
            `trouble_log` say in the log what becomes of all this
    limits  rates, concurrency and budgets, in this process's memory. `shared/` are those that
            several processes share, in a place such as `redis/`; `failures` says what has become
            of the way there

Both are implementations: what they promise stands in `proxy/protocols.py` (`Health`, `Limits`),
and what they compute in `core/routing/` and `core/limits/`. `process/shared/limits.py` chooses.
"""
