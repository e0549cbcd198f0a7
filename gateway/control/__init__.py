"""What operators change while the gateway runs: the same operations over HTTP and at a terminal.

    changes     what all of them have in common: who, when, and what the audit log says
    secret      a new key's secret
    known_keys  the keys and teams of the configuration's files
    keys        keys in the database: create, edit, rotate, disable, enable, revoke
    key_view    keys as they are shown, from wherever they come
    key_order   the same in another order than by name
    teams       teams in the database: create, edit, delete
    team_view   teams as they are shown, from wherever they come
    deployments  drained, enabled and reset by hand
    capturing    the debug log for one key, for a while
    grants       a secret for minutes that stands for a key
    spending    what is spent and left of budgets
    paging      pages of what is listed by name

An operation is done on a connection, within one transaction of the caller's. The files of the
configuration are never changed here.
"""
