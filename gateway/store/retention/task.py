"""Retention in the running gateway: at an interval, by one of all processes on a database.

That is whichever leads. A run that its process did not live to end goes on elsewhere within
seconds: the job is taken for a short time only, again and again, and for the interval at the end.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
import trio
from msgspec import structs
from sqlalchemy import Connection

from ...captures.files import PrunedCaptures, prune_captures
from ...config.schema import Retention
from ...errors import StoreUnavailable
from ..engine.database import Database
from ..held.jobs import RETENTION, Leadership
from . import jobs
from .pruning import BATCH, Pruning
from .sweep import SECOND, PruneCounts

_log = structlog.get_logger(__name__)

JOB: Final = RETENTION
# Seconds, at most. A start has other work to do, and processes that start together should not all
# ask at the same moment.
_FIRST_WAIT: Final = 60.0
_JITTER: Final = 0.1
# For so many seconds a run has its job, and it renews that after this part of them.
LEASE: Final = 10.0
_RENEW: Final = 0.3


class RetentionTask:
    """Prunes the tables if this process gets the job, and always this machine's `captures` folder.

    `settings` is called for each run: a reload may change it. `report` is called in Trio's thread
    with what a run deleted, if anything, and with whether the run was complete. The database is
    not used until `opened` is set, if there is such an event, and only while this process leads
    retention, if there is a `leadership`. `now` returns Unix seconds, `rng` numbers from 0 to below
    1.
    """

    def __init__(
        self,
        database: Database | None,
        settings: Callable[[], Retention],
        *,
        captures: Path | None = None,
        opened: trio.Event | None = None,
        leadership: Leadership | None = None,
        report: Callable[[PruneCounts, bool], object] = lambda _counts, _whole: None,
        now: Callable[[], float] = time.time,
        rng: Callable[[], float] = random.random,
        batch: int = BATCH,
    ) -> None:
        self._database = database
        self._settings = settings
        self._captures = captures
        self._opened = opened
        self._leadership = leadership
        self._report = report
        self._now = now
        self._rng = rng
        self._batch = batch

    async def run(self) -> None:
        """Prune for ever; cancelled at any moment, it leaves whole batches deleted."""
        wait = min(_FIRST_WAIT, self._settings().interval) * self._rng()
        while True:
            await self._sleep(wait)
            wait = await self.once()
            wait += wait * _JITTER * self._rng()

    async def _sleep(self, seconds: float) -> None:
        """Sleep so long, or until this process takes the lead."""
        leadership = self._leadership
        with trio.move_on_after(seconds):
            if leadership is None or leadership.leads(JOB):
                await trio.sleep_forever()
            await leadership.taken(JOB)

    async def once(self) -> float:
        """Prune what is due, and return in how many seconds to come back. Never fails."""
        retention = self._settings()
        counts = PruneCounts()
        failed = []
        wait = retention.interval
        # Both parts may fail without harm: no request depends on them, and the next run comes soon.
        try:
            if self._captures is not None:
                pruned = await self._prune_captures(self._captures, retention)
                counts.captures, counts.capture_bytes = pruned.files, pruned.bytes
        except Exception as exc:  # noqa: BLE001  # of any kind: the gateway goes on
            failed.append("captures")
            ours = not isinstance(exc, OSError)
            _log.warning("retention of captures failed", error=str(exc), exc_info=ours)
        try:
            if self._database is not None and self._is_open and self._leads:
                wait = await self._prune(self._database, retention, counts)
        except Exception as exc:  # noqa: BLE001  # the same
            failed.append("database")
            # A database that is down explains itself; an unexpected error needs a traceback.
            ours = not isinstance(exc, StoreUnavailable)
            _log.warning("retention failed", error=str(exc), exc_info=ours)
        except trio.Cancelled:
            # What was deleted is reported, however the run ends.
            if counts:
                self._report(counts, False)
            raise
        if counts or failed:
            _log.info("retention", failed=failed, **structs.asdict(counts))
            self._report(counts, not failed)
        return wait if self._is_open else min(wait, _FIRST_WAIT)

    @property
    def _is_open(self) -> bool:
        return self._opened is None or self._opened.is_set()

    @property
    def _leads(self) -> bool:
        return self._leadership is None or self._leadership.leads(JOB)

    async def _prune_captures(self, folder: Path, retention: Retention) -> PrunedCaptures:
        days, most = retention.debug_days, retention.debug_max_bytes
        # Abandoned when cancelled: each file is deleted by itself, so no harm is done.
        return await trio.to_thread.run_sync(
            lambda: prune_captures(folder, days, most, self._now()), abandon_on_cancel=True
        )

    async def _prune(self, database: Database, retention: Retention, counts: PruneCounts) -> float:
        """Prune the tables; `counts` grows after each commit, so that it holds after a failure."""
        every, lease = round(retention.interval * SECOND), round(LEASE * SECOND)
        now = round(self._now() * SECOND)
        due = await database.write(
            lambda connection: jobs.claim(connection, JOB, now, every, lease)
        )
        if due is not None:
            # It is not due yet, or another process has the job. Once it is, this one may get it.
            return min(max((due - now) / SECOND, 1.0), retention.interval)
        pruning = Pruning(retention, self._now(), batch=self._batch)
        renewed = trio.current_time()
        while not pruning.finished:
            counts.add(await database.write(pruning.step))
            await trio.sleep(pruning.pause)
            if trio.current_time() - renewed > LEASE * _RENEW:
                renewed = trio.current_time()
                await database.write(_Renewal(round(self._now() * SECOND) + lease))
        await database.write(_Renewal(round(self._now() * SECOND) + every))
        return retention.interval


class _Renewal:
    def __init__(self, due: int) -> None:
        self._due = due

    def __call__(self, connection: Connection) -> None:
        jobs.renew(connection, JOB, self._due)
