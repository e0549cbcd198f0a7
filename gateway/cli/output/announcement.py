"""What a person is told once the gateway is there: one line on stderr."""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Sequence

import msgspec

from ... import __version__
from ...config.schema import Config
from ...serve.sockets import describe


def pages_line(config: Config, addresses: list[str], admin: Sequence[socket.socket]) -> str:
    """Return what to tell people of where the dashboard is."""
    if not (config.admin.enabled and config.admin.dashboard and config.store.url):
        return ""
    address = describe(admin[0]) if admin else addresses[0]
    if address.startswith("unix:"):
        return f" | dashboard: {config.admin.path}/ at {address}"
    return f" | dashboard: http://{_reachable(address)}{config.admin.path}/"


def announce(config: Config, addresses: list[str], pages: str) -> None:
    """Print the one line that a person needs to begin."""
    address = addresses[0]
    names = [model.name for model in config.models]
    shown = ", ".join(names[:8]) + (f", and {len(names) - 8} more" if len(names) > 8 else "")
    if address.startswith("unix:"):
        url, reach = "http://localhost", ["--unix-socket", address.removeprefix("unix:")]
    else:
        url, reach = f"http://{_reachable(address)}", []
    body = msgspec.json.encode(
        {"model": names[0], "stream": True, "messages": [{"role": "user", "content": "Hello!"}]}
    ).decode()
    curl = shlex.join(
        ["curl", "-N", *reach, f"{url}/v1/chat/completions", "-H", "content-type: application/json"]
    )
    key = ' -H "authorization: Bearer $KEY"' if config.tokens else ""
    sys.stderr.write(
        f"gateway {__version__} is ready at {address if reach else url + '/v1'} | models: {shown}"
        f"{pages} | try: {curl}{key} -d {shlex.quote(body)}\n"
    )
    sys.stderr.flush()


def _reachable(address: str) -> str:
    """Return an address that a client can use, which 0.0.0.0 is not."""
    host, _, port = address.rpartition(":")
    if host in ("0.0.0.0", "[::]"):  # noqa: S104  # compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "[::1]"  # noqa: S104
    return f"{host}:{port}"
