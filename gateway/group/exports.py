"""The exports of this process: how many are under way, and how far each has come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

# Downloads of which the end is known for a while.
_REMEMBERED: Final = 32


class ExportProgress(msgspec.Struct, frozen=True):
    """How far an export has come, from 0 to 1; `ended` says how, None while it is under way."""

    part: float
    rows: int
    ended: str | None


class ProcessExports:
    """Whoever begins an export may watch it, by a word of their own, from any process."""

    def __init__(self) -> None:
        self.under_way = 0
        self._tracked: OrderedDict[tuple[str | None, str], Callable[[], ExportProgress]]
        self._tracked = OrderedDict()

    def __repr__(self) -> str:
        return f"<ProcessExports {self.under_way} under way>"

    def track(self, who: str | None, word: str, progress: Callable[[], ExportProgress]) -> None:
        """Have `progress` known, also for a while after the end of the export."""
        self._tracked[who, word] = progress
        while len(self._tracked) > _REMEMBERED:
            self._tracked.popitem(last=False)

    def progress(self, who: str | None, word: str) -> ExportProgress | None:
        """Return how far one's own export has come; None if none has that word in this process."""
        found = self._tracked.get((who, word))
        return None if found is None else found()
