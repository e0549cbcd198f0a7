"""What `gateway serve` says to the person who has started it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .. import __version__
from ..config.schema import Config
from .program import program


def announce_demo(path: Path) -> None:
    """Say that the demo is served, since there is no file `path`."""
    sys.stderr.write(
        f"note: there is no {path} here, so this is the demo, in memory: it answers by itself, and"
        f" nothing is kept; `{program()} init` writes a configuration to begin with\n"
    )


def announce_ready(config: Config, addresses: list[str], admin: Sequence[str] = ()) -> None:
    """Print the line that a person needs to begin; `admin` are the admin API's own addresses."""
    address = addresses[0]
    names = [model.name for model in config.models]
    shown = ", ".join(names[:8]) + (f", and {len(names) - 8} more" if len(names) > 8 else "")
    if address.startswith("unix:"):
        url, reach = "http://localhost", ["--unix-socket", address.removeprefix("unix:")]
    else:
        scheme = "http" if config.server.tls is None else "https"
        url, reach = f"{scheme}://{_reachable(address)}", []
    # For whom the certificate is, is not known here.
    insecure = [] if config.server.tls is None else ["-k"]
    body = msgspec.json.encode(
        {"model": names[0], "stream": True, "messages": [{"role": "user", "content": "Hello!"}]}
    ).decode()
    curl = shlex.join(
        [
            "curl",
            "-N",
            *insecure,
            *reach,
            f"{url}/v1/chat/completions",
            "-H",
            "content-type: application/json",
        ]
    )
    key = ' -H "authorization: Bearer $KEY"' if config.tokens else ""
    sys.stderr.write(
        f"gateway {__version__} is ready at {address if reach else url + '/v1'} | models: {shown}"
        f"{_pages(config, addresses, admin)} | try: {curl}{key} -d {shlex.quote(body)}\n"
    )
    sys.stderr.flush()


def _pages(config: Config, addresses: Sequence[str], admin: Sequence[str]) -> str:
    """Return what to tell people of where the dashboard is."""
    if not (config.admin.enabled and config.admin.dashboard and config.store.url):
        return ""
    address = (admin or addresses)[0]
    if address.startswith("unix:"):
        return f" | dashboard: {config.admin.path}/ at {address}"
    scheme = "http" if admin or config.server.tls is None else "https"
    return f" | dashboard: {scheme}://{_reachable(address)}{config.admin.path}/"


def _reachable(address: str) -> str:
    """Return an address that a client can use, which 0.0.0.0 is not."""
    host, _, port = address.rpartition(":")
    if host in ("0.0.0.0", "[::]"):  # noqa: S104  # compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "[::1]"  # noqa: S104
    return f"{host}:{port}"
