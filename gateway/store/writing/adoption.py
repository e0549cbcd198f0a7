"""When a writer looks for journals that were left behind, and when it has all of its start."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Final

import trio

# Seconds between two looks.
ADOPT_INTERVAL: Final = 60.0


class Adoption:
    """`next_look` is in Trio's time. `done` is set once nothing was left of the first look.

    `folder` is where the journals are; nothing is adopted until `opened` is set.
    """

    def __init__(self, folder: Path, opened: trio.Event) -> None:
        self.folder: Final = folder
        self.opened: Final = opened
        self.done: Final = trio.Event()
        self.next_look = -inf
        self._under_way = False

    def __repr__(self) -> str:
        return f"<Adoption {'under way' if self._under_way else 'idle'}>"

    def look(self, now: float) -> bool | None:
        """Say whether to look anew (True) or to go on (False); None: there is nothing to do."""
        if now >= self.next_look:
            self.next_look = now + ADOPT_INTERVAL
            return True
        return False if self._under_way else None

    def found(self, something: bool) -> None:
        """Take note of whether there was a journal."""
        self._under_way = something
        if not something:
            self.done.set()

    def interrupted(self) -> None:
        """Look anew the next time: writing has failed."""
        self._under_way, self.next_look = False, -inf
