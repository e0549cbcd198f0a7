"""A listener beside Hypercorn's, for another app on an address of its own.

Its connections are of the same kind as all others, with the same limits of time and size, but are
counted by themselves and take no turns with those: who looks at a busy gateway does not wait in its
line. It goes on while the gateway drains, until `finish`.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState

from ...lifecycle import Lifecycle
from ..connection import ClientConnection
from ..open_connections import OpenConnections, PolicySource

# Connections at a time. A browser has six, and an open page keeps one of them.
MOST: Final = 256
# Seconds for requests in progress at the end.
_GRACE: Final = 3.0
_LOOK: Final = 0.05
# Seconds for a refusal to be taken.
_REFUSAL: Final = 1.0

App = Callable[[Any, Any, Any], Awaitable[None]]

_log = logging.getLogger(__name__)


class SideListener:
    """Takes the listening `sockets` over, until `finish`."""

    def __init__(
        self,
        app: App,
        sockets: Sequence[socket.socket],
        policy: PolicySource,
        lifecycle: Lifecycle,
        most: int = MOST,
    ) -> None:
        self._app: Any = ASGIWrapper(app)
        self._sockets = sockets
        self._connections = OpenConnections(policy, lifecycle)
        self._context = WorkerContext(None)
        self._config = _config()
        self._state = ConnectionState(LifespanState())
        self._most = most
        self._accepting = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<SideListener {self._connections!r}>"

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._connections.progress.run)
            listeners = [
                # Others of the same, so that it can be run again.
                trio.SocketListener(trio.socket.from_stdlib_socket(each.dup()))
                for each in self._sockets
            ]
            async with trio.open_nursery() as handlers:
                with trio.CancelScope() as self._accepting:
                    await trio.serve_listeners(self._serve, listeners, handler_nursery=handlers)
                await trio.sleep_forever()

    async def finish(self) -> None:
        """Close connections as soon as they are idle; those that never are get some seconds."""
        # What comes from now on is for another worker behind the same sockets.
        self._accepting.cancel("the gateway stops")
        await self._context.terminated.set()
        for member in self._connections.members:
            member.retire()
        with trio.move_on_after(_GRACE):
            while self._connections.members:  # noqa: ASYNC110  # nothing tells of it
                await trio.sleep(_LOOK)
        for sock in self._sockets:
            sock.close()

    async def _serve(self, stream: Any) -> None:
        if len(self._connections) >= self._most:
            _log.warning("a connection is refused: %d are open", self._most)
            with trio.move_on_after(_REFUSAL), contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(self._connections.dismissal.render(b"", close=True))
            await trio.aclose_forcefully(stream)
            return
        await ClientConnection(
            self._connections, self._app, self._config, self._context, self._state, stream
        ).run()


def _config() -> Config:
    config = Config()
    config.errorlog = logging.getLogger(f"{__package__}.hypercorn")
    config.accesslog = None
    config.include_server_header = False
    return config
