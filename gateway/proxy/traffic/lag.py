"""How late the event loop is: the one number that says whether this process keeps up.

Every request waits that long at every step it takes. The cause may be too many requests, or one
call that computes for too long.
"""

from __future__ import annotations

import math
from typing import Final

import trio

# Seconds. Ten a second cost nothing, and shedding begins within a tenth of a second.
TICK: Final = 0.1
# The part of the difference by which `value` follows a lower lag with each tick: it is down from
# 1 s to the 0.25 s at which shedding begins in 0.4 s. Falling at once would end the shedding
# whenever a single tick is on time, and let the whole crowd in.
FALL: Final = 0.3


class LoopLag:
    """`value` is in seconds. It rises at once and falls slowly, while `watch` runs."""

    def __init__(self) -> None:
        self.value = 0.0
        self._due = math.inf

    def __repr__(self) -> str:
        return f"<LoopLag {self.value:.3f} s>"

    async def watch(self) -> None:
        """Note ten times a second how late this task was woken, until cancelled."""
        try:
            while True:
                self._due = trio.current_time() + TICK
                await trio.sleep_until(self._due)
                self._note(trio.current_time() - self._due)
        finally:
            # It would look ever later with no task to move it on.
            self._due, self.value = math.inf, 0.0

    def current(self, now: float) -> float:
        """Return the lag at `now`, counting a tick that is overdue.

        What runs first after the loop was stuck sees by that how long, before `watch` does.
        """
        overdue = now - self._due
        return overdue if overdue > self.value else self.value

    def _note(self, late: float) -> None:
        if late >= self.value:
            self.value = late
        else:
            self.value += FALL * (late - self.value)
