"""To cancel at every step that Trio's tasks take."""

from __future__ import annotations

from collections.abc import Callable

import trio


class Striker(trio.abc.Instrument):
    """Counts steps and strikes before number `at`."""

    def __init__(self, at: int) -> None:
        self.steps = 0
        self.strike: Callable[[], None] | None = None
        self._at = at

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.strike is not None:
            self.steps += 1
            if self.steps == self._at:
                self.strike()
