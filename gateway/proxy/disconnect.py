"""Work that is cancelled when the caller disconnects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from ..errors import ClientGone, SendStalled

Work = Callable[[], Awaitable[None]]


class Departure(Protocol):
    """What of a `Client` is needed here.

    One that has `when_gone` and `stay` as well (`api/client.py`) can call when the caller leaves,
    where others need a task that waits for it.
    """

    async def wait_gone(self) -> None:
        """Return when the caller has left. Raises SendStalled when it was dropped."""
        ...


class _Watched:
    """One piece of work: what became of it, and what became of the caller meanwhile."""

    __slots__ = ("_end", "_error", "_scope")

    def __init__(self) -> None:
        self._scope = trio.CancelScope()
        self._error: Exception | None = None
        self._end: Exception | None = None

    async def called(self, client: Departure, work: Work) -> bool:
        """Do `work` with a client that calls; False if this one does not, and nothing is done."""
        when_gone = getattr(client, "when_gone", None)
        if when_gone is None or not when_gone(self._left):
            return False
        try:
            with self._scope:
                await self._do(work)
        finally:
            client.stay()  # type: ignore[attr-defined]  # goes with the other
        return True

    async def waited(self, client: Departure, work: Work) -> None:
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            nursery.start_soon(self._watch, client)
            await self._do(work)
            self._scope.cancel("work done")

    def tell(self) -> None:
        """Raise what there is to raise."""
        error, end = self._error, self._end
        # Their tracebacks lead to this frame. Left in it they would keep the request and its body
        # until the garbage collector comes by.
        self._error = self._end = None
        try:
            if error is not None:
                raise error
            if end is not None:
                raise end
        finally:
            del error, end

    async def _do(self, work: Work) -> None:
        try:
            await work()
        except Exception as exc:  # noqa: BLE001  # exception groups stop here
            self._error = exc

    async def _watch(self, client: Departure) -> None:
        # The only sign of a client that left: Hypercorn's `send` keeps returning normally
        # (docs/discussion/closing.rst).
        try:
            await client.wait_gone()
            self._left(ClientGone())
        except SendStalled as exc:
            self._left(exc)

    def _left(self, end: ClientGone | SendStalled) -> None:
        self._end = end
        self._scope.cancel("client disconnected")


async def cancel_on_disconnect(client: Departure, work: Work) -> None:
    """Do `work` until it is done or the caller leaves; then raise ClientGone.

    Raises SendStalled if the caller did not leave but was dropped, since it took nothing.
    """
    watched = _Watched()
    if not await watched.called(client, work):
        await watched.waited(client, work)
    watched.tell()
