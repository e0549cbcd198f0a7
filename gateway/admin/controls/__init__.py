"""What operators change over HTTP. The operations themselves are in `gateway/control/`.

All of it is behind /admin/api/:

    routes    all of their routes
    described what routes take and answer
    openapi   what all routes of the admin API are, as OpenAPI 3.1
    audit     a change with its entry in the audit log
    keys      keys (virtual tokens): list, show, create, edit, rotate, disable, enable, revoke
    deployments  health; drain, enable, reset
    capturing  the debug log for one key, for a while
    grants    a secret for minutes that stands for a key
    spending  what is spent and left of budgets; teams
"""
