"""Who is asking: keys, users and their sessions.

In the order in which to read them:

    arrival   where a request comes from: the client's address, scheme and host, past proxies
    identity  who asks: a key or a user, and what they may do
    tokens    random tokens of sessions and links, their digests, the CSRF token made of one
    failed_sign_ins  how many refused sign-ins get an entry in the audit log

A handler is given an `AdminRequest`, whose `identity` says who asks: `name`, `role`, `rights`, and
for a session `csrf_token`. That the identity has the right which `rights.ROUTES` names was checked
before. `AdminRequest.visitor` is the same or None, for routes that need no sign-in.

A page is a route whose path begins with a slash, such as `AdminRoute("GET", "/admin/keys", show)`.
Without a sign-in it is answered with a redirect to `/admin/sign-in?next=...`. A form of a page must
send the CSRF token in a field `csrf_token`, and a script in the header `x-csrf-token`; both are
checked before the handler runs, as is the origin of the request.
"""
