"""A Valkey or Redis server that processes share.

In reading order:

    connection  one connection, to whichever server of Sentinel's or a cluster's is the right one
    limits.lua  all that is decided about limits, each in one step
    arguments   a call's keys and arguments as the script takes them, and its replies
    processes.lua   which processes there are, and what operators tell them
    process_roll    the same from Python
    answers     kept answers of the response cache, for all processes
    limit_store the place where limits are kept together
"""
