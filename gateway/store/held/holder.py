"""Keeps a process's place in the database: it hears of changes, and leads what nobody else does."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog
import trio

from ...errors import StoreUnavailable
from ..engine.database import Database
from .connection import HeldConnection
from .jobs import Leadership
from .lock_files import LockFiles

# Seconds between two tries to lead: so long, at most, nobody leads when the leader was killed.
LOOK: Final = 1.5
# Until a connection that was lost is tried again, half of it at random: all have lost theirs at
# the same moment.
_AGAIN: Final = 2.0

_log = structlog.get_logger(__name__)


class Holder:
    """`hear` is called whenever something may have changed; it must neither wait nor fail."""

    def __init__(
        self, database: Database, leadership: Leadership, hear: Callable[[], None]
    ) -> None:
        self.listening = False
        self._database = database
        self._leadership = leadership
        self._hear = hear
        self._failing = False

    def __repr__(self) -> str:
        return f"<Holder of {self._database!r}, {self._leadership!r}>"

    async def run(self) -> None:
        """Hold it whenever that can be, until cancelled."""
        connect = self._database.connects_alone
        if connect is None:
            file = self._database.file
            assert file is not None
            await self._hold_files(LockFiles(file))
            return
        while True:
            try:
                await self._hold(HeldConnection(connect))
            except StoreUnavailable as exc:
                self._note(exc.message)
            await trio.sleep(_AGAIN * (0.5 + random.random() / 2))  # noqa: S311  # no secret

    async def _hold(self, connection: HeldConnection) -> None:
        try:
            await connection.open()
            self._note(None)
            self.listening = True
            held = await connection.take(frozenset())
            # What was notified before may have been missed.
            self._hear()
            while True:
                self._leadership.set(held)
                due = trio.current_time() + LOOK
                while (left := due - trio.current_time()) > 0:
                    if await connection.heard(left):
                        self._hear()
                held = await connection.take(held)
        finally:
            self.listening = False
            self._leadership.set(())
            await connection.close()

    async def _hold_files(self, files: LockFiles) -> None:
        limiter = trio.CapacityLimiter(1)
        take = partial(trio.to_thread.run_sync, abandon_on_cancel=True, limiter=limiter)
        try:
            while True:
                try:
                    self._leadership.set(await take(files.take))
                    self._note(None)
                except OSError as exc:
                    self._leadership.set(())
                    self._note(str(exc))
                await trio.sleep(LOOK)
        finally:
            self._leadership.set(())
            files.close()

    def _note(self, error: str | None) -> None:
        if error is not None and not self._failing:
            _log.warning(
                "nothing is heard of changes, and no job is led, while the database is away:"
                " changes are looked for every 0.8 s",
                error=error,
            )
        self._failing = error is not None
