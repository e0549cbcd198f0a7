"""What the schema was, step by step: one revision in each module, in the order of its number.

    0001  requests, attempts, audit log, roll-ups and writers
    0002  jobs
    0003  the index of failed requests
    0004  the trail: which fallback answered, what a request went past

A released revision never changes. `gateway/store/migrations/__init__.py` says how to add one.
"""
