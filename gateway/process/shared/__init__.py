"""What the processes of a gateway have in common, and how each follows it.

    following    all of it, as the application needs it; without a database there is nothing
    heartbeat    that this process is there, and how it is
    roll_call    the same in the server of [state], and what operators order there of processes
    orders       what operators order of deployments: drained for a while, breakers reset
    stored_keys  the keys that operators make, edit and revoke
    kept_responses  responses that the gateway keeps for callers who go on from them
    news         what processes tell each other, so that it is known everywhere at once
    kept_objects    where a provider keeps a file or a batch, and whose it is
    limits       where limits are kept: in memory, with the workers of the host, or in a server

All but the limits is in the database. Requests never wait for it: tasks of their own ask once a
second. Only those do that keep a response or go on from one, and those for objects that a provider
keeps.
"""
