"""What one process does for all on a database, and whether that is this one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import trio

RETENTION: Final = "retention"
RECONCILER: Final = "reconciler"
# By job, the second half of its advisory lock; the first is `CLASS`. Never to be given to another.
JOBS: Final[Mapping[str, int]] = {RETENTION: 1, RECONCILER: 2}
# "llm_" in ASCII: a number that no other program uses.
CLASS: Final = 0x6C6C6D5F
# Where PostgreSQL notifies of what operators change; the payload is the generation's name.
CHANNEL: Final = "llm_gateway"


class Leadership:
    """The jobs that this process leads, as `Holder` says."""

    def __init__(self) -> None:
        self.held: frozenset[str] = frozenset()
        self._changed = trio.Event()

    def __repr__(self) -> str:
        return f"<Leadership of {', '.join(sorted(self.held)) or 'nothing'}>"

    def leads(self, job: str) -> bool:
        return job in self.held

    async def taken(self, job: str) -> None:
        """Wait until this process leads `job`."""
        while job not in self.held:
            await self._changed.wait()

    def set(self, held: Iterable[str]) -> None:
        """Take note of what this process leads from now on."""
        found = frozenset(held)
        if found != self.held:
            self.held = found
            changed, self._changed = self._changed, trio.Event()
            changed.set()
