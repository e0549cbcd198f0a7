"""Who is asking: keys, users and their sessions.

In the order in which to read them:

    arrival          where a request comes from: the client's address, scheme and host, past proxies
    identity         who asks: a key or a user, and what they may do
    tokens           random tokens of sessions and links, their digests, the CSRF token made of one
    cookies          the cookie that holds a session's token
    csrf             what a request that changes something must bring along with that cookie
    rules            which names and passwords users may have
    passwords        Argon2 hashes, made in threads
    subjects         what failed sign-ins are counted by
    sign_ins         signing in and out, and whose session a token is
    failed_sign_ins  how many refused sign-ins get an entry in the audit log
    redirects        to the sign-in page and back
    session, setup, users  the routes of the admin API

A handler is given an `AdminRequest`, whose `identity` says who asks: `name`, `role`, `rights`, and
for a session `csrf_token`. That the identity has the right which `rights.ROUTES` names was checked
before. `AdminRequest.visitor` is the same or None, for routes that need no sign-in; there only
sessions are looked at, not keys.

A page is a route whose path begins with a slash and has none at its end, such as
`AdminRoute("GET", "/admin/keys", show)`; `/admin/` is `"/admin"`. Without a sign-in its reader is
sent to `/admin/sign-in?next=...`; a fragment that htmx asks for is answered with 401 and
`HX-Redirect`. Other errors are shown by the `error_page` of `AdminApi`, if it has one.

A form of a page must send the CSRF token in a field `csrf_token`, and a script in the header
`x-csrf-token`; both are checked before the handler runs, as is the origin of the request. The
handler of a sign-in form calls `request.sign_ins.sign_in(...)`, sets the cookie
(`cookies.set_cookie`) and goes to `redirects.back_from_sign_in(next)`; it raises errors with a
message for people. A page that lives long, such as a stream of events, asks now and then whether
`request.sign_ins.session(cookies.session_tokens(headers))` is still there.
"""
