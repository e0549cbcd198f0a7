"""How long each side of a stream has been quiet, and what follows from that.

A cancel scope whose deadline moves with every event would do, but moving one costs several
microseconds (Trio takes it out of its heap and puts it back), and a stream has two. So the two
tasks that know only note the time, and a third looks at the notes whenever one of them could
be due. It wakes a few times a minute, and the times are as exact as with deadlines.

Silence counts only where we could listen. A process that was stopped for ten seconds (SIGSTOP, a
suspended machine, one call that computes for long) finds what the provider sent in the meantime
only when it goes on, and it sees by how late it was woken that it had been away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import trio

# So many looks in `idle` seconds, to see when we were away; more would cost more than they tell.
LOOKS: Final = 4
# Seconds late that are nothing unusual for a task in a busy process.
LATE: Final = 0.1


class Silence:
    """Times are Trio's, in seconds; `idle` and `keep_alive` 0 are off.

    heard    when the provider last sent something
    spoke    when the caller was last sent something
    blocked  the provider is not listened to, because the caller is slow
    """

    def __init__(self, idle: float, keep_alive: float) -> None:
        self.heard = self.spoke = trio.current_time()
        self.blocked = False
        self._idle = idle or math.inf
        self._keep_alive = keep_alive or math.inf
        # The silence that does not count, of that since `_excused_from`.
        self._excused = self._excused_from = 0.0

    def quiet(self) -> bool:
        """Say whether the caller has heard nothing for `keep_alive`."""
        return trio.current_time() >= self.spoke + self._keep_alive

    async def watch(self, on_idle: Callable[[], None], on_quiet: Callable[[], None]) -> None:
        """Call `on_quiet` after each `keep_alive` of silence, `on_idle` after `idle` and return."""
        asked = self.spoke
        while True:
            now = trio.current_time()
            # Both times only move on, so to look again when they were due is early enough.
            idle_due = now + self._idle if self.blocked else self._idle_due()
            quiet_due = max(self.spoke, asked) + self._keep_alive
            look = min(idle_due, quiet_due, now + self._idle / LOOKS)
            await trio.sleep_until(look)
            began, now = now, trio.current_time()
            self._excuse(began, now, now - look)
            if not self.blocked and now >= self._idle_due():
                on_idle()
                return
            if now >= max(self.spoke, asked) + self._keep_alive:
                asked = now
                on_quiet()

    def _idle_due(self) -> float:
        if self._excused_from != self.heard:
            return self.heard + self._idle
        return self.heard + self._idle + self._excused

    def _excuse(self, began: float, now: float, late: float) -> None:
        """Take note of a look at `now` that came `late`; the one before was at `began`.

        We may have been away for longer than that: since any moment after the look before. But
        a process that is always a little late must not wait for ever, so at most twice as long.
        """
        if late <= LATE:
            return
        if self._excused_from != self.heard:
            self._excused, self._excused_from = 0.0, self.heard
        self._excused += min(now - max(began, self.heard), 2.0 * late)
