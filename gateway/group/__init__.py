"""The processes of one gateway on one machine, as each of them sees the others.

`gateway serve --workers N` starts N processes, and whoever looks at the gateway reaches one of
them. What only a process itself knows (requests under way, breakers, resting keys, its queue) it
asks the others for, each through a Unix socket in a private directory that the supervisor made.

In the order in which to read them:

    known/         all processes of all hosts, and who this one is among them
    process_state  how one process is
    exports        the files that it is sending
    questions      what processes ask each other
    respondent     what a process answers
    folder         the private directory, and which process has which socket in it
    private_socket a socket in it
    listener       answers the others
    sisters        asks the others; one that does not answer in time is skipped, and named
    frames         how workers and their supervisor speak of limits
    limit_host     the limits that all workers share, held by the supervisor
    host_store     how a worker asks for them
    whole          the answers of all, its own among them
    merging        how the group is, from how each process is
"""
