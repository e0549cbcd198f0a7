"""WebSockets to providers (RFC 6455), by wsproto.

    opening  asks for one, and reads what the provider answers
    socket   one that is open: frames out, frames in, pings answered, the close

A WebSocket has a slot of its origin's pool for as long as it is open, and its connection never
goes back there.
"""
