"""What administrators ask of a running gateway: its records, its state, a reload.

    application  the routes, and one request on its way through them
    sign_in      who may come in, and what is written down of who may not
    visit        one request of an administrator who has come in
    records      what is on record: requests, the audit log, usage, health
    exports      the same as files of any size
    captures     what the debug log kept of one request
    operations   the state of this process, and a reload

It is a Starlette router behind the API's own client (see `proxy/protocols.py`), which has
learned what Hypercorn does with bodies nobody reads and callers who leave. Nothing of it is on
the way of a request for a model.
"""
