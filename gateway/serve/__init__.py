"""Serving the app: sockets, connections, Hypercorn's Trio worker, signals, drain.

The one home of Hypercorn. In the order in which to read them:

    policy            what serving promises, in seconds and bytes
    sockets           listening sockets, with the options that Hypercorn does not set
    connection        one client's connection, from its first request to its last
    byte_stream       its bytes: a socket that is watched for as long as it lives
    progress          whether a client takes what it is sent, or is to be dropped
    gate              which requests are let in, and how the others are answered
    cycle             one request and its answer, between h11 and an ASGI app
    response_writer   the bytes of an answer
    entry/            which requests begin, which wait and which are turned away
    websocket/        one WebSocket, between wsproto and an ASGI app
    open_connections  the connections of a worker, and how a drain closes them
    install           puts our connection in the place of Hypercorn's
    beside/           another app on an address of its own
    worker            one worker process, between the first signal and the exit
    crew/             several worker processes behind the same sockets, and how they are replaced
    sighup            SIGHUP: read the configuration again
    pidfile           the file that says which processes to send it to
    surroundings/     the terminal, TLS, and proxies in front
"""
