"""Putting our connection into Hypercorn's Trio worker.

`worker_serve` has no parameter for it: it takes `TCPServer` from its module's globals. Setting
that global is what keeps `hypercorn -k trio gateway.app:app`, `python -m gateway serve` and
`gateway serve` the same server. The alternative, a copy of `worker_serve`, would have to
follow Hypercorn line by line; this follows one name, and says so when it is gone.
"""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
from typing import Final

import hypercorn.trio.run
from hypercorn.trio.tcp_server import TCPServer

from ..lifecycle import Lifecycle
from .connection import ClientConnection
from .open_connections import OpenConnections, PolicySource

_TRIED: Final = "0.18"
_PARAMETERS: Final = ["self", "app", "config", "context", "state", "stream"]


def install(policy: PolicySource, lifecycle: Lifecycle) -> OpenConnections:
    """Serve every connection of this process by `ClientConnection` from now on.

    The app must run `OpenConnections.watch` for as long as it lives. Calling it again replaces
    the earlier call. Raises `RuntimeError` for a Hypercorn that this was not written for.
    """
    version = importlib.metadata.version("hypercorn")
    if not version.startswith(f"{_TRIED}."):
        raise RuntimeError(f"gateway needs hypercorn {_TRIED}.x, but {version} is installed")
    parameters = list(inspect.signature(TCPServer.__init__).parameters)
    if parameters != _PARAMETERS or not hasattr(hypercorn.trio.run, "TCPServer"):
        raise RuntimeError(f"hypercorn {version} no longer makes its TCPServer as gateway expects")
    connections = OpenConnections(policy, lifecycle)
    hypercorn.trio.run.TCPServer = functools.partial(ClientConnection, connections)
    return connections
