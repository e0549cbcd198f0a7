"""What the schema was, step by step: one revision in each module, in the order of its number.

    0001  requests, attempts, audit log, roll-ups and writers
    0002  jobs
    0003  the index of failed requests

A released revision never changes. `gateway/store/migrations/__init__.py` says how to add one.
"""
