"""The sockets of a gateway that starts, and what several workers do not share behind them."""

from __future__ import annotations

import socket
from collections.abc import Iterable

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


def limited_tables(config: Config) -> list[str]:
    """Return the tables that set a limit which several processes do not share."""
    tables: list[tuple[str, Iterable[object]]] = [
        ("[limits]", [config.limits]),
        ("[providers]", config.providers.values()),
        ("[[tokens]]", config.tokens),
    ]
    return [
        name
        for name, found in tables
        if any(
            getattr(each, key, None) is not None
            for each in found
            for key in ("rpm", "tpm", "max_concurrent", "budget")
        )
    ]
