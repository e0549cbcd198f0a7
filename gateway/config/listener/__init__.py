"""Where the gateway listens: the table that says it.

server  [server], and [server.tls]
"""
