"""Says in the database every few seconds that this process is there, and how it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from ...core.processes import BEAT_EVERY, ProcessRow
from ...errors import StoreUnavailable
from ...store.control.processes import beat, leave
from ...store.engine.database import Database

_TIMEOUT: Final = 5.0
# Seconds for the last word of a process that ends.
_LAST: Final = 1.0


class Heartbeat:
    """`row` returns how the process is; it is called in Trio's thread."""

    def __init__(self, database: Database, row: Callable[[], ProcessRow]) -> None:
        self._database = database
        self._row = row

    def __repr__(self) -> str:
        return f"<Heartbeat in {self._database!r}>"

    async def run(self) -> None:
        """Say so again and again; cancelled, take the word back."""
        try:
            while True:
                await self.beat()
                await trio.sleep(BEAT_EVERY)
        finally:
            with trio.move_on_after(_LAST, shield=True):
                await self._leave()

    async def beat(self) -> bool:
        """Say so once, and say whether that worked."""
        row = self._row()
        try:
            await self._database.write(lambda connection: beat(connection, row), _TIMEOUT)
        except StoreUnavailable:
            # Others see that nothing is said, which is what there is to say.
            return False
        return True

    async def _leave(self) -> None:
        process = self._row().id
        try:
            await self._database.write(lambda connection: leave(connection, process), _LAST)
        except StoreUnavailable:
            return
