"""The ASGI API: the application that Hypercorn runs.

In the order in which to read them:

    asgi_app    the application: lifespan, and one request from its scope to its answer
    routes      the table of paths: which operation serves each
    spoken_dialect  which API a caller speaks where its path is none of one API alone
    request     what the gateway reads of a request's head
    client      the caller's side of one request: its body, its answer, its leaving
    replies     answers that the gateway writes itself, errors among them
    calls       what serves the operations that providers are asked for
    sessions    openings of WebSockets; web_socket is the caller's side of one
    operations  the answers that need no provider: models and health
    cors        calls from web pages
    open_gateway  who may call where no key is asked for

It is raw ASGI, without a framework, since this is the hot path. Requests for a model go on to
`proxy/`, those under /admin/ to `admin/`.
"""
