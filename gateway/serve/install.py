"""Putting our connection into Hypercorn's Trio worker.

`worker_serve` has no parameter for it: it takes `TCPServer` from its module's globals. Setting
that global is what keeps `hypercorn -k trio gateway.app:app`, `python -m gateway serve` and
`gateway serve` the same server. The alternative, a copy of `worker_serve`, would have to
follow Hypercorn line by line; this follows two names, and says so when one is gone.

The other is `trio.serve_listeners`, by which the worker accepts connections. It is looked up in the
worker's module alone, in whose place of `trio` our `Acceptor` stands beside all that Trio has; and
so do our listeners, for TLS and for what begins with a PROXY header.
"""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
import types
from typing import Any, Final

import hypercorn.trio.run
import trio
from hypercorn.trio.tcp_server import TCPServer

from ..lifecycle import Lifecycle
from .connection import ClientConnection
from .entry.acceptor import Acceptor
from .open_connections import OpenConnections, PolicySource
from .surroundings.proxy_protocol import listener_for
from .surroundings.tls import Certificates, TlsListener

_TRIED: Final = "0.18"
_PARAMETERS: Final = ["self", "app", "config", "context", "state", "stream"]
_ACCEPTS: Final = ("trio", "serve_listeners")


def install(
    policy: PolicySource, lifecycle: Lifecycle, certificates: Certificates | None = None
) -> OpenConnections:
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
    if not {*_ACCEPTS} <= {*hypercorn.trio.run.worker_serve.__code__.co_names}:
        raise RuntimeError(f"hypercorn {version} no longer accepts by {'.'.join(_ACCEPTS)}")
    connections = OpenConnections(policy, lifecycle)
    hypercorn.trio.run.TCPServer = functools.partial(ClientConnection, connections)
    acceptor = Acceptor(connections.entrance, connections)
    vars(hypercorn.trio.run)["trio"] = _TrioWith(acceptor, policy, certificates)
    return connections


class _TrioWith(types.ModuleType):
    """Trio with another `serve_listeners`, and other listeners."""

    def __init__(
        self, acceptor: Acceptor, policy: PolicySource, certificates: Certificates | None
    ) -> None:
        super().__init__(trio.__name__)
        self.serve_listeners = acceptor
        self.SSLListener = functools.partial(TlsListener, certificates)
        self.SocketListener = functools.partial(listener_for, policy)

    def __getattr__(self, name: str) -> Any:
        return getattr(trio, name)
