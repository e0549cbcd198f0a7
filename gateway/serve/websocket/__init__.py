"""WebSocket on a client's connection (RFC 6455), by wsproto.

    opening  which requests ask for a WebSocket that is served
    cycle    one WebSocket from its opening to its close, between wsproto and an ASGI app

Only the paths of `core.dialects.sessions.paths` are opened; an upgrade anywhere else is ignored
(RFC 9110 section 7.8), and the app answers the request. No extension is negotiated, so that no
message is larger than what was sent of it. Pings are answered here. A message is bounded by
`ServingPolicy.max_message_bytes`; how much waits to be read, by `byte_stream.py`.
"""
