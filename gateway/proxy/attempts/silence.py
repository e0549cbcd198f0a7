"""How long each side of a stream has been quiet, and what follows from that.

A cancel scope whose deadline moves with every event would do, but moving one costs several
microseconds (Trio takes it out of its heap and puts it back), and a stream has two. So the two
tasks that know only note the time, and a third looks at the notes whenever one of them could
be due. It wakes a few times a minute, and the times are as exact as with deadlines.

Silence counts only while we could listen (`stops.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from ...stops import stops


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

    def quiet(self) -> bool:
        """Say whether the caller has heard nothing for `keep_alive`."""
        return trio.current_time() >= self.spoke + self._keep_alive

    def move(self, seconds: float) -> None:
        """Do not count `seconds` of the silence; the caller has heard nothing all the same."""
        self.heard += seconds

    async def watch(self, on_idle: Callable[[], None], on_quiet: Callable[[], None]) -> None:
        """Call `on_quiet` after each `keep_alive` of silence, `on_idle` after `idle` and return."""
        stopped = stops()
        stopped.add(self)
        try:
            await self._watch(on_idle, on_quiet)
        finally:
            stopped.discard(self)

    async def _watch(self, on_idle: Callable[[], None], on_quiet: Callable[[], None]) -> None:
        asked = self.spoke
        while True:
            # Both times only move on, so to look again when they were due is early enough.
            since = trio.current_time() if self.blocked else self.heard
            quiet_due = max(self.spoke, asked) + self._keep_alive
            await trio.sleep_until(min(since + self._idle, quiet_due))
            now = trio.current_time()
            if not self.blocked and now >= self.heard + self._idle:
                on_idle()
                return
            if now >= max(self.spoke, asked) + self._keep_alive:
                asked = now
                on_quiet()
