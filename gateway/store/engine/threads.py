"""A limited number of worker threads for transactions, each of which can be abandoned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import trio

from .transaction_deadline import TransactionDeadline

T = TypeVar("T")

# Seconds beyond the deadline. A transaction ends itself at its deadline, with a better message.
_GRACE: Final = 0.5


class TransactionThreads:
    """At most `limit` transactions at once, abandoned ones that still run included."""

    def __init__(self, limit: int) -> None:
        self._limiter = trio.CapacityLimiter(limit)

    @property
    def busy(self) -> int:
        """How many threads are at work."""
        return self._limiter.borrowed_tokens

    async def run(self, work: Callable[[], T], deadline: TransactionDeadline) -> T:
        """Return what `work` does in a thread; raises StoreUnavailable when `deadline` is over."""
        with trio.move_on_after(deadline.left() + _GRACE):
            try:
                return await trio.to_thread.run_sync(
                    work, abandon_on_cancel=True, limiter=self._limiter
                )
            except trio.Cancelled:
                deadline.abandon()
                raise
        raise deadline.unavailable()
