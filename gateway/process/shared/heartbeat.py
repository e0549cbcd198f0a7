"""Says in the database every few seconds that this process is there, and how it is."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final

import trio

from ... import __version__
from ...errors import StoreUnavailable
from ...store.control.processes import ProcessRow, beat, leave
from ...store.engine.database import Database

INTERVAL: Final = 5.0
_TIMEOUT: Final = 5.0
# Seconds for the last word of a process that ends.
_LAST: Final = 1.0


class Heartbeat:
    """`state` returns how the process is, as JSON can hold it; it is called in Trio's thread."""

    def __init__(self, database: Database, state: Callable[[], dict[str, object]]) -> None:
        self._database = database
        self._state = state
        self._id = secrets.token_hex(8)
        self._started = time.time()

    def __repr__(self) -> str:
        return f"<Heartbeat of {self._id}>"

    async def run(self) -> None:
        """Say so again and again; cancelled, take the word back."""
        try:
            while True:
                await self.beat()
                await trio.sleep(INTERVAL)
        finally:
            with trio.move_on_after(_LAST, shield=True):
                await self._leave()

    async def beat(self) -> bool:
        """Say so once, and say whether that worked."""
        row = ProcessRow(
            id=self._id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            started=self._started,
            seen=time.time(),
            state=self._state(),
        )
        try:
            await self._database.write(lambda connection: beat(connection, row), _TIMEOUT)
        except StoreUnavailable:
            # Others see that nothing is said, which is what there is to say.
            return False
        return True

    async def _leave(self) -> None:
        try:
            await self._database.write(lambda connection: leave(connection, self._id), _LAST)
        except StoreUnavailable:
            return
