"""What a process holds in the database for as long as it lives.

With PostgreSQL that is one connection: it hears what others notify, and has the locks of jobs that
one process does for all. The server ends both with the connection, so that nothing is left behind
by a process that was killed. SQLite is a file on one host: locks of files beside it do the same,
which the kernel lets go of.

In the order in which to read them:

    jobs        what is done by one process for all, and whether that is this one
    connection  one connection of PostgreSQL, driven by Trio
    lock_files  locks beside an SQLite file
    holder      takes and keeps both, again and again
"""
