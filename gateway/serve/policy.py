"""What serving promises, in seconds and bytes."""

from __future__ import annotations

from typing import Final

import msgspec

# What still runs so long after all should be over is cut off.
HARD_STOP_AFTER: Final = 10.0


class ServingPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How patient the server is with a connection, and how it leaves. Times in seconds.

    A client must take 16 KiB of what waits for it every `send_timeout` (`progress.py`).
    `header_timeout` runs from a request's first byte to the end of its head,
    `keep_alive_timeout` while there is none.
    The answer to a connection's `max_requests_per_connection`th request says
    `connection: close`, and the connection ends with it; 0 is never.
    `max_header_bytes` and `max_headers` bound one request's head.

    On the first SIGTERM new connections are accepted for another `drain_delay` (load balancers
    need that long to notice), then requests in flight have `drain_timeout` to finish.

    While more is asked than can be done, requests wait `wait` for their turn and no longer: those
    for which there is no room are turned away. What comes in a burst may wait `burst_wait`. A
    `wait` of 0 is any time.
    """

    send_timeout: float = 30.0
    keep_alive_timeout: float = 75.0
    # Hypercorn's `keep_alive_max_requests` and nginx's `keepalive_requests` are 1000 as well.
    max_requests_per_connection: int = 1000
    header_timeout: float = 10.0
    # Agents send some 20 fields in 2 KB. nginx takes 32 KiB (`large_client_header_buffers`), Apache
    # 100 fields (`LimitRequestFields`).
    max_header_bytes: int = 32768
    max_headers: int = 100
    drain_delay: float = 5.0
    drain_timeout: float = 120.0
    wait: float = 0.25
    burst_wait: float = 1.0
    # Of a client's WebSocket.
    max_message_bytes: int = 32 * 1024 * 1024
    # Connections begin with a PROXY header, which only these may send; from all if there are none.
    proxy_protocol: bool = False
    trusted_proxies: tuple[str, ...] = ()
