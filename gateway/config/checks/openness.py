"""Whether a gateway without tokens would be open to more than this machine."""

from __future__ import annotations

from pathlib import Path

from ...core.sign_in import is_loopback
from ...errors import ConfigError
from ..listener.server import Server


def open_to_network(server: Server) -> str | None:
    """Return what is wrong with `server` where no key is asked for; None if nothing is."""
    bind = server.bind
    if server.open or bind.startswith("unix:"):
        return None
    host = bind.rpartition(":")[0].removeprefix("[").removesuffix("]")
    if is_loopback(host):
        return None
    return (
        f"[server] bind: {bind} is not loopback and there are no tokens, so everyone who reaches it"
        " could use every model; make one with 'gateway tokens create NAME', bind to 127.0.0.1, or"
        " set open = true in [server] if that is meant"
    )


def check_start(keyless: bool, server: Server, path: Path) -> None:
    """Raise ConfigError if a gateway that asks for no key must not start.

    Under Hypercorn's command line the addresses are not those of `server`: there each request tells
    its own (`api/open_gateway.py`).
    """
    if keyless and (problem := open_to_network(server)):
        raise ConfigError([f"{path}: {problem}"])
