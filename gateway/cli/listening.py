"""The sockets of a gateway that starts, and what several workers do not share behind them."""

from __future__ import annotations

import socket

from ..config.schema import Config
from ..serve.sockets import ListenError, listen


def listen_all(config: Config) -> tuple[list[socket.socket], list[socket.socket]]:
    """Return what listens for callers, and at the admin API's own address. Raises ListenError."""
    patience, admin = config.server.send_timeout, config.admin
    sockets = listen([config.server.bind], send_timeout=patience)
    if not (admin.enabled and admin.bind):
        return sockets, []
    try:
        return sockets, listen([admin.bind], send_timeout=patience)
    except ListenError:
        for sock in sockets:
            sock.close()
        raise
