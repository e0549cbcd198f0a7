"""Where models are served, as commands and programs that pages show name it."""

from __future__ import annotations

from typing import Final

from ..admin.accounts.arrival import Arrival
from ..config.schema import Config

# Addresses to listen at, and none that a client could use.
_EVERY: Final = ("", "*", "0.0.0.0", "[::]")  # noqa: S104  # compared, not bound


def served_address(config: Config, arrival: Arrival) -> str:
    """Return the beginning of the URLs of models for whoever has come by `arrival`.

    It is the address that the page itself has, unless the pages have one of their own.
    """
    if not config.admin.bind:
        return f"{'https' if arrival.secure else 'http'}://{arrival.host}"
    scheme = "http" if config.server.tls is None else "https"
    if config.server.bind.startswith("unix:"):
        return f"{scheme}://localhost"
    host, _, port = config.server.bind.rpartition(":")
    if host in _EVERY:
        host = _without_port(arrival.host) or "localhost"
    return f"{scheme}://{host}:{port}"


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
