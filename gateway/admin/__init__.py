"""The admin API: what is on record, what this process is doing, a reload of its configuration.

In the order in which to read them:

    resources        what the handlers work with
    application      the routes, and how one request passes through them
    sign_in          which keys are accepted, and what the audit log says of the others
    failed_sign_ins  how many of the refused keys get an entry there
    request          one request of an administrator: its parameters, its body, its audit entries
    asgi_bridge      the caller's side of it, as Starlette wants it
    queries          what is on record: requests, the audit log, usage, costs, health, figures
    exports          the same as files of any size
    captures         what the debug log kept of one request
    in_flight        the requests under way
    status           the state of this process
    control          a reload

It is a Starlette router behind the API's own client (`api/client.py`, seen through
`proxy/protocols.py`), which knows how Hypercorn behaves when a body is not read or a caller
leaves. A request for a model never passes through here.
"""
