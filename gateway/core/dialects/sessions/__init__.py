"""Sessions: many requests and answers as messages of one connection, a WebSocket.

    base   what a dialect of sessions is, and what is seen of one session
    paths  where sessions are opened, and in which dialect

The messages are passed on as they come. A dialect looks at them for what concerns the gateway: the
model that is asked, when an answer begins and ends, and what it took.
"""
