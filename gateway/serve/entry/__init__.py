"""How requests get in while more is asked of the process than it can do.

asker      who asks, as far as the first bytes tell, and whether it is a health probe
glance     the same of a new connection, kept for the next that begins like it
entrance   so many requests begin in each pass of the event loop; the others wait, or are
           turned away
newcomer   a connection that was accepted and waits: no task runs on it yet
acceptor   takes connections from the kernel, in the place of Trio's loop
arrival    a connection as the kernel hands it over
farewell   the 503 on a new connection, and its end
pausing    an operator has drained this process: others accept in its place
threshold  what a request on an open connection has to pass
crowd      open connections while many requests are turned away: watched by one task
dismissal  the 503
idle       connections on which nothing is said, closed when there is no room for others
lingering  connections that were turned away, until their clients have read why
"""
