"""Says in the server of [state] that this process is there, and does what operators order there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog
import trio

from ...core.limits.operations import StoreFailed
from ...core.processes import BEAT_EVERY, ProcessRow
from ...group.known.presence import ProcessPresence
from ...proxy.in_flight import InFlight

if TYPE_CHECKING:
    from ...state.redis.process_roll import ProcessRoll

# Seconds for the last word of a process that ends.
_LAST: Final = 1.0

_log = structlog.get_logger(__name__)


class RollCall:
    """`row` returns how the process is. It answers every two seconds, and at once if hurried.

    While the server is away what it said last goes on; drains end when they were to end.
    """

    def __init__(
        self,
        roll: ProcessRoll,
        presence: ProcessPresence,
        in_flight: InFlight,
        row: Callable[[], ProcessRow],
    ) -> None:
        self._roll = roll
        self._presence = presence
        self._in_flight = in_flight
        self._row = row
        self._hurried = trio.Event()
        # Cancellations that are known; None before the first answer: those before it are of none
        # of this process's requests.
        self._cancelled: set[tuple[str, str]] | None = None

    def __repr__(self) -> str:
        return f"<RollCall of {self._presence!r}>"

    def hurry(self) -> None:
        """Look now, not only when it is time."""
        self._hurried.set()

    async def run(self) -> None:
        """Answer again and again; cancelled, take the word back."""
        try:
            while True:
                self._hurried = trio.Event()
                await self.answer()
                with trio.move_on_after(BEAT_EVERY):
                    await self._hurried.wait()
        finally:
            with trio.move_on_after(_LAST, shield=True):
                await self._leave()

    async def answer(self) -> bool:
        """Say once how the process is, do what is ordered, and say whether that worked."""
        try:
            orders = await self._roll.beat(self._row())
        except StoreFailed:
            # The limits, which ask the same server, say so.
            return False
        self._presence.obey(orders.drains)
        known, self._cancelled = self._cancelled, set(orders.cancelled)
        for request_id, _ in self._cancelled - known if known is not None else ():
            if self._in_flight.cancel(request_id):
                _log.info("request cancelled by an operator", request_id=request_id)
        return True

    async def _leave(self) -> None:
        try:
            await self._roll.leave(self._presence.id)
        except StoreFailed:
            return
