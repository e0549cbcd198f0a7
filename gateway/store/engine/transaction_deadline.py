"""The time that one transaction has, and the hand that ends it early.

A statement that runs in a thread cannot be cancelled from Trio: whoever gives up `abandon`s its
turn. The driver is then told to interrupt what runs, and the thread finds out at its next
statement at the latest, rolls back and throws its connection away.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Final

from ...errors import StoreUnavailable


class TransactionDeadline:
    """Written to by the thread of the transaction and by one that gives up on it."""

    __slots__ = ("_interrupt", "_lock", "_until", "abandoned", "timeout")

    def __init__(self, timeout: float) -> None:
        self.timeout: Final = timeout
        self.abandoned = False
        self._until = monotonic() + timeout
        self._lock = Lock()
        self._interrupt: Callable[[], None] | None = None

    def left(self) -> float:
        """Return the seconds that are left, at least 0."""
        return max(0.0, self._until - monotonic())

    def over(self) -> bool:
        return self.abandoned or monotonic() >= self._until

    def check(self) -> None:
        """Raise StoreUnavailable once the time is over, or nobody waits any more."""
        if self.over():
            raise self.unavailable()

    def unavailable(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"the database cannot be used: it took longer than {self.timeout:g} s"
        )

    def hold(self, interrupt: Callable[[], None]) -> None:
        """Say how to interrupt the connection that the transaction now has, without waiting."""
        with self._lock:
            self._interrupt = interrupt

    def release(self) -> None:
        """Say that the connection is about to be another's: it is not interrupted from then on."""
        with self._lock:
            self._interrupt = None

    def abandon(self) -> None:
        """End the turn now, from any thread, without waiting for it."""
        with self._lock:
            self.abandoned = True
            if self._interrupt:
                self._interrupt()
