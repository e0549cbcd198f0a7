"""Condensing in the running gateway: at an interval, by one of all processes on a database."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog
import trio

from ...core.records.periods import DAY
from ...errors import StoreUnavailable
from ..engine.database import Database
from ..retention import jobs
from .condensing import SECOND, RollupStart, due, made, put

_log = structlog.get_logger(__name__)

JOB: Final = "condensing"
INTERVAL: Final = 300.0
# What is late is hardly ever later than this; older times are looked at once in so many runs.
_LATE: Final = 2 * DAY
_ALL_EVERY: Final = 12
# A look at all of a year takes a while.
_LOOK_SECONDS: Final = 60.0
# Writers of records come first: after each hour or day there is a pause at least as long as it
# took, and no shorter than SQLite's busy handler waits.
_PAUSE: Final = 0.03


class CondensingTask:
    """Makes sums of the hours and days that are over, if this process gets the job.

    The database is not used until `opened` is set, if there is such an event. `now` returns Unix
    seconds, `rng` numbers from 0 to below 1.
    """

    def __init__(
        self,
        database: Database,
        *,
        opened: trio.Event | None = None,
        now: Callable[[], float] = time.time,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._opened = opened
        self._now = now
        self._rng = rng
        self._runs = 0

    async def run(self) -> None:
        """Condense for ever; cancelled at any moment, it leaves whole hours and days."""
        if self._opened is not None:
            await self._opened.wait()
        # Processes that start together should not all ask at the same moment.
        await trio.sleep(INTERVAL * 0.1 * self._rng())
        while True:
            await self.once()
            await trio.sleep(INTERVAL * (1 + 0.1 * self._rng()))

    async def once(self) -> int:
        """Make what is missing or has changed, and return how many there were. Never fails."""
        count = 0
        try:
            if await self._has_job():
                for which in await self._due():
                    began = trio.current_time()
                    # Added up before, since writers of records wait while it is written.
                    rows = await self._database.read(partial(made, which=which), _LOOK_SECONDS)
                    await self._database.write(partial(put, which=which, rows=rows))
                    count += 1
                    await trio.sleep(max(_PAUSE, trio.current_time() - began))
                self._runs += 1
        except Exception as exc:  # noqa: BLE001  # of any kind: figures come from the roll-ups then
            # A database that is down explains itself; an unexpected error needs a traceback.
            ours = not isinstance(exc, StoreUnavailable)
            _log.warning("condensing of roll-ups failed", error=str(exc), exc_info=ours)
        return count

    async def _has_job(self) -> bool:
        now, every = round(self._now() * SECOND), round(INTERVAL * SECOND)
        claimed = await self._database.write(
            lambda connection: jobs.claim(connection, JOB, now, every)
        )
        return claimed is None

    async def _due(self) -> list[RollupStart]:
        now = round(self._now() * SECOND)
        since = 0 if self._runs % _ALL_EVERY == 0 else now - _LATE * SECOND
        return await self._database.read(
            lambda connection: due(connection, since, now), _LOOK_SECONDS
        )
