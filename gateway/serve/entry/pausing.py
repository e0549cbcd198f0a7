"""Connections that are left to other processes behind the same sockets for a while.

An operator has drained this process: what it has goes on, and what is new is theirs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import trio

# Seconds between two looks whether the process is in service again.
_LOOK: Final = 0.05


class Pausable(Protocol):
    @property
    def paused(self) -> bool: ...


async def resumed(open_ones: Pausable) -> None:
    """Wait until connections are accepted here again."""
    while open_ones.paused:  # noqa: ASYNC110  # nobody tells; whoever waits has other processes
        await trio.sleep(_LOOK)


async def serve_in_turn(
    listener: Any, handler: Any, nursery: trio.Nursery, open_ones: Pausable
) -> None:
    """Accept one after the other, as Trio does.

    What connections ask is not known before a TLS handshake or a PROXY header.
    """
    # That of Trio's listeners, whatever is around it.
    sock = getattr(listener, "transport_listener", listener).socket

    async def ready() -> None:
        while True:
            await trio.lowlevel.wait_readable(sock)
            if not open_ones.paused:
                return
            await resumed(open_ones)

    await trio.serve_listeners(handler, [_HeldListener(listener, ready)], handler_nursery=nursery)


class _HeldListener(trio.abc.Listener[Any]):
    """Accepts from `inner` when there is something to accept, and it is `ready` to."""

    def __init__(self, inner: Any, ready: Callable[[], Awaitable[None]]) -> None:
        self._inner = inner
        self._ready = ready

    async def accept(self) -> Any:
        await self._ready()
        return await self._inner.accept()

    async def aclose(self) -> None:
        await self._inner.aclose()
