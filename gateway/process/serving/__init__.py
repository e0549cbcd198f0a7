"""What serving needs of the configuration, and tells of it.

Read `policy` first, the part of the configuration that the server needs; `outcomes` has how reloads
went, for `gateway reload`, and `renewal` the certificates.
"""
