"""The processes of one gateway on one machine, as each of them sees the others.

`gateway serve --workers N` starts N processes, and whoever looks at the gateway reaches one of
them. What only a process itself knows (requests under way, breakers, resting keys, its queue) it
asks the others for, each through a Unix socket in a private directory that the supervisor made.

In the order in which to read them:

    process_state  how one process is
    questions      what processes ask each other
    respondent     what a process answers
    folder         the private directory, and which process has which socket in it
    listener       answers the others
    sisters        asks the others; one that does not answer in time is skipped, and named
    whole          the answers of all, its own among them
    merging        how the group is, from how each process is
"""
