"""The time that one transaction has, and how it is ended early.

A statement that runs in a thread cannot be cancelled from Trio: the task that stops waiting calls
`abandon`. The driver then interrupts the statement that runs. The thread notices at its next
statement at the latest, rolls back and throws its connection away.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Final

from ...errors import StoreUnavailable


class TransactionDeadline:
    """Used by the transaction's thread and by the one that waits for it."""

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
        """Raise StoreUnavailable once the time is over or the transaction was abandoned."""
        if self.over():
            raise self.unavailable()

    def unavailable(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"the database cannot be used: it took longer than {self.timeout:g} s"
        )

    def hold(self, interrupt: Callable[[], None]) -> None:
        """Set how to interrupt the transaction's connection; `interrupt` must not wait."""
        with self._lock:
            self._interrupt = interrupt

    def release(self) -> None:
        """Forget the connection: it goes back to its pool and must not be interrupted any more."""
        with self._lock:
            self._interrupt = None

    def abandon(self) -> None:
        """End the transaction now, from any thread, without waiting for its end."""
        with self._lock:
            self.abandoned = True
            if self._interrupt:
                self._interrupt()
