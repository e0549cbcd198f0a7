"""Work that is cancelled when the caller disconnects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from ..errors import ClientGone, SendStalled


class Departure(Protocol):
    """What of a `Client` is needed here."""

    async def wait_gone(self) -> None:
        """Return when the caller has left. Raises SendStalled when it was dropped."""
        ...


async def cancel_on_disconnect(client: Departure, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` until it is done or the caller leaves; then raise ClientGone.

    Raises SendStalled if the caller did not leave but was dropped, since it took nothing.
    """
    error: Exception | None = None
    end: Exception | None = None

    async def watch() -> None:
        nonlocal end
        # The only sign of a client that left: Hypercorn's `send` keeps returning normally
        # (docs/discussion/closing.rst).
        try:
            await client.wait_gone()
            end = ClientGone()
        except SendStalled as exc:
            end = exc
        nursery.cancel_scope.cancel("client disconnected")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        try:
            await work()
        except Exception as exc:  # noqa: BLE001  # exception groups stop here
            error = exc
        nursery.cancel_scope.cancel("work done")
    try:
        if error is not None:
            raise error
        if end is not None:
            raise end
    finally:
        # Their tracebacks lead to this frame. Left in it they would keep the request and its body
        # until the garbage collector comes by.
        error = end = None
