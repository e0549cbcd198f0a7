"""Signing in through an OpenID Connect provider: authorization code flow with PKCE.

    handshake  what ties the answer of the provider to the browser that began
    provider   the provider's addresses and keys, the exchange of the code, checks of the ID token
    claims     which name and which role the claims of an ID token give
    endpoints  `/admin/api/oidc/start` and `/admin/api/oidc/callback`

A user who comes this way is in the table of users like the others, without a password. Name and
role are what the provider says at each sign-in; disabling is ours. The library for signatures,
joserfc, is optional and is imported when it is needed.
"""
