"""Retention: deletes rows and captures that are older than `[retention]` says.

In reading order:

    sweep    one sweep for each table, which deletes a batch at a step
    pruning  one run over all tables, with pauses for writers; `vacuum`
    jobs     lets one of several processes do what is due
    erasure  what is on record of one user, request or key, deleted at once
    erased_kept  the same of responses that were kept for callers, and of what could not be stored
    repricing  costs of a time computed again
    task     `RetentionTask`: runs in the gateway at an interval
"""
