"""The HTTP/1.1 client that calls providers, on Trio.

With `serve/` the home of h11. In the order in which to read them:

    transport      one call from its connection to the head of its answer
    response       the body of that answer, and what becomes of the connection
    body_sender    a request's body that is sent while it still comes in
    pool           the connections to one origin, and who gets the next one that is free
    dial           opens a connection: addresses, TLS
    resolver       names, so that a silent name server keeps no other name waiting
    shortage       what is our own lack of descriptors or ports, and not a provider's failure
    connection     one connection: h11's state machine over Trio's stream
    heads          what may stand in the head of a request, and of an answer
    httpx_adapter  the transport under httpx's client, where comfort counts more than speed
    http_client    that client: for health checks and access tokens, which no caller waits for
    probe          one active health check
    sockets/       WebSockets, each with a connection of its own

A call that a caller waits for uses `transport` directly.
"""
