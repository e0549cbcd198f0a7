"""The admin API: what is on record, what this process is doing, a reload of its configuration.

In the order in which to read them:

    resources        what the handlers work with
    rights           roles, rights, and the one table of which route needs which right
    route, routes    what a route is; all of them and their handlers
    application      one request on its way to its handler
    accounts/        who asks: keys, users, sessions
    oidc/            users who sign in through an OpenID Connect provider
    sign_in          which keys are accepted, and what the audit log says of the others
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
