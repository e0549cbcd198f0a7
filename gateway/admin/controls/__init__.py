"""What operators change over HTTP. The operations themselves are in `gateway/control/`.

routes  all of their routes
audit   the entry of a change in the audit log
keys    keys (virtual tokens): list, show, create, edit, rotate, disable, enable, revoke
"""
