"""Whose fault a failure is: the deployment's, its key's, or that of one caller's requests.

In reading order:

    source    who an attempt was made for, and with which body
    doubts    refusals that may or may not be a key's fault
    patience  how long a caller must have waited for its leaving to be the provider's fault
    suspects  callers whose requests fail, and the failures that may be of their own making

One caller must not hurt the others: what its requests may have brought about themselves counts
against that caller, and against a deployment or a key that all share only when others fail too.
"""
