"""The requests that wait for a slot, and which is next: fair between callers, quick within one.

Callers take turns, however many requests each has waiting: a caller that sends a thousand delays
the others by one of them. A caller's own requests are served in the order they came, until the
oldest has waited for more than a second. Then there is more than can be served, and first come
first served would make all of them late; the newest first leaves some that are still worth it
(Facebook, "Fail at Scale", "Adaptive LIFO", queue.acm.org/detail.cfm?id=2839461).

The dictionary of lines is the ring of turns: its first caller is next, and goes to its end when
it has been served.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final, Generic, TypeVar

# Seconds that the oldest of a line may wait before the newest goes first.
NEWEST_FIRST_AFTER: Final = 1.0


class Waiter:
    """One waiting request: its caller, when it came, and when serving it is no longer worth it."""

    __slots__ = ("caller", "since", "until")

    def __init__(self, caller: str, since: float, until: float = math.inf) -> None:
        self.caller = caller
        self.since = since
        self.until = until

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.caller} since {self.since:g}>"


W = TypeVar("W", bound=Waiter)


class FairQueue(Generic[W]):
    """One line of waiters for each caller. Times are seconds of one clock.

    Once the oldest of a line has waited for `newest_first_after`, its newest is next.
    """

    def __init__(self, newest_first_after: float = NEWEST_FIRST_AFTER) -> None:
        self._newest_first_after = newest_first_after
        self._lines: OrderedDict[str, OrderedDict[W, None]] = OrderedDict()
        self._size = 0
        # The caller served last. While it is set and waits it is last in the ring, see `add`.
        self._turn: str | None = None

    def __repr__(self) -> str:
        lines = ", ".join(f"{caller} {len(line)}" for caller, line in self._lines.items())
        return f"<FairQueue {lines or 'empty'}>"

    def __len__(self) -> int:
        return self._size

    @property
    def since(self) -> float | None:
        """Return when the waiter that has waited longest came; None if there is none."""
        return min((next(iter(line)).since for line in self._lines.values()), default=None)

    def add(self, waiter: W) -> None:
        """Put `waiter` at the end of its caller's line. Waiters are added in order of time."""
        line = self._lines.get(waiter.caller)
        if line is None:
            self._lines[waiter.caller] = line = OrderedDict()
            # A newcomer goes before the caller that was served last. That overtaking ends with the
            # next turn, so however many newcomers there are, no caller waits for ever.
            if self._turn is not None and self._turn in self._lines:
                self._lines.move_to_end(self._turn)
        elif len(self._lines) == 1 and self._turn is None:
            # No other caller waits, and this one wants more: it holds the slots that are taken.
            self._turn = waiter.caller
        line[waiter] = None
        self._size += 1

    def discard(self, waiter: W) -> None:
        """Forget `waiter`, which gave up; does nothing if it does not wait any more."""
        line = self._lines.get(waiter.caller)
        if line is not None and waiter in line:
            del line[waiter]
            self._size -= 1
            self._tidy(waiter.caller, line)

    def next(self, now: float) -> W | None:
        """Remove and return the waiter to serve at `now`; None if there is none.

        Waiters on the way that should have started before `now` are dropped without being
        called: their own timers end their waits.
        """
        while self._lines:
            caller, line = next(iter(self._lines.items()))
            waiter: W | None = None
            while line and waiter is None:
                candidate, _ = line.popitem(last=self._newest_first(line, now))
                self._size -= 1
                if candidate.until > now:
                    waiter = candidate
            if waiter is not None:
                self._turn = caller
                self._lines.move_to_end(caller)
            self._tidy(caller, line)
            if waiter is not None:
                return waiter
        return None

    def make_room(self, caller: str, now: float) -> W | None:
        """Remove and return the waiter that must leave a full queue for one of `caller`, if any.

        Without this a caller that fills the queue would shut out the rest, and turns would be of
        no use to them. The longest line loses the waiter that it would serve last, if it stays
        longer than the newcomer's own even so. A caller that has its share of the queue gets no
        more of it.
        """
        longest = self._longer_line(caller)
        if longest is None:
            return None
        waiter, _ = longest.popitem(last=not self._newest_first(longest, now))
        self._size -= 1
        return waiter

    def _longer_line(self, caller: str) -> OrderedDict[W, None] | None:
        own = len(self._lines.get(caller, ()))
        if own * len(self._lines) >= self._size:
            return None
        longest = max(self._lines.values(), key=len)
        return longest if len(longest) >= own + 2 else None

    def clear(self) -> list[W]:
        """Remove and return all."""
        everyone = [waiter for line in self._lines.values() for waiter in line]
        self._lines.clear()
        self._size = 0
        self._turn = None
        return everyone

    def _tidy(self, caller: str, line: OrderedDict[W, None]) -> None:
        if not line:
            del self._lines[caller]
            if not self._lines:
                self._turn = None

    def _newest_first(self, line: OrderedDict[W, None], now: float) -> bool:
        return now - next(iter(line)).since > self._newest_first_after
