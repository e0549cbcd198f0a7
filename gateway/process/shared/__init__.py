"""What the processes of a gateway have in common through its database, and how each follows it.

    following    all of it, as the application needs it; without a database there is nothing
    heartbeat    that this process is there, and how it is
    orders       what operators order of deployments: drained for a while, breakers reset
    stored_keys  the keys that operators make, edit and revoke
    kept_responses  responses that the gateway keeps for callers who go on from them

Requests never wait for any of this: tasks of their own ask the database once a second. Only those
that keep a response or go on from one do.
"""
