"""What administrators reach, put together.

In the order in which to read them:

    wiring     what of it runs in one process
    lazy_api   the admin API and the dashboard, made at the first request for them
    oidc_http  calls to the OpenID Connect provider
    first_run  the link to make the first user with
"""
