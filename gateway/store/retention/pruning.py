"""Deletes what need not be kept any longer, without making writers wait.

One DELETE of a million rows would hold SQLite's only write lock for a minute or so. So rows are
deleted in batches that adapt to the speed of the disk. After each there is a pause at least as
long as it took, in which waiting writers get the lock.

The file of an SQLite database does not shrink. Free space in it is used for the next rows, of
which about as many will come as were deleted. To give it back instead, auto_vacuum would move
pages in every transaction, and scatter them (sqlite.org/pragma.html, "auto_vacuum"). After much
was deleted for good there is `vacuum`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from ...config.schema import Retention
from ...core.records.audit import ActorKind
from ...core.records.periods import DAY, HOUR, MINUTE
from ..engine.schema import rollups, team_rollups
from .sweep import (
    SECOND,
    AuditSweep,
    PruneCounts,
    RequestSweep,
    ResponseSweep,
    RollupSweep,
    Sweep,
    WriterSweep,
)

if TYPE_CHECKING:
    from ..engine.database import Database

BATCH: Final = 500
_LEAST: Final = 50
# Seconds. A transaction longer than the first is followed by a smaller one, shorter than the
# second by a larger one.
_LONG: Final = 0.03
_SHORT: Final = 0.01
# SQLite's busy handler looks again after up to 25 ms for the first eight times, then after 50 and
# 100 (sqlite3.c, sqliteDefaultBusyCallback): a shorter gap could be missed each time.
_PAUSE: Final = 0.03
# Days that a writer's row is kept. Without it, a journal that was left behind half-written to the
# database would be written twice.
_WRITER_DAYS: Final = 400
_VACUUM_TIMEOUT: Final = 3600.0
_BUSY_MS: Final = 30_000


class Pruning:
    """One run over all tables, a transaction at each `step`; it cannot go on after a failed one.

    `now` is Unix seconds. The audit log names `actor_kind` and `actor` as who shortened it.
    """

    def __init__(
        self,
        retention: Retention,
        now: float,
        *,
        actor_kind: ActorKind = ActorKind.SYSTEM,
        actor: str | None = None,
        batch: int = BATCH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.longest = 0.0
        # Seconds to wait before the next step, in which others can use the database.
        self.pause = 0.0
        self._batch = self._limit = batch
        self._clock = clock
        self._sweeps = [*_sweeps(retention, now, actor_kind, actor)]

    @property
    def finished(self) -> bool:
        return not self._sweeps

    def step(self, connection: Connection) -> PruneCounts:
        """Delete one batch; the counts hold once the transaction is committed."""
        began = self._clock()
        sweep = self._sweeps[0]
        counts = sweep.step(connection, self._limit)
        if sweep.finished:
            del self._sweeps[0]
        took = self._clock() - began
        self.longest = max(self.longest, took)
        self.pause = max(took, _PAUSE) if counts else 0.0
        if took > _LONG:
            self._limit = max(self._limit // 2, min(_LEAST, self._batch))
        elif took < _SHORT:
            self._limit = min(self._limit * 2, self._batch)
        return counts


def prune(
    database: Database,
    pruning: Pruning,
    *,
    report: Callable[[PruneCounts], object] = lambda _counts: None,
    sleep: Callable[[float], None] = time.sleep,
) -> PruneCounts:
    """Do a whole run and return what was deleted; `report` gets the total after each step.

    Raises StoreUnavailable; `report` has had what was deleted by then.
    """
    total = PruneCounts()
    while not pruning.finished:
        total.add(database.write_now(pruning.step))
        report(total)
        sleep(pruning.pause)
    return total


def vacuum(database: Database) -> None:
    """Make an SQLite file as small as possible; on PostgreSQL, make deleted space reusable.

    SQLite writes the file anew: meanwhile no other connection can write, and the disk needs room
    for a second copy. Raises StoreUnavailable.
    """
    database.autocommit_now(_vacuum, _VACUUM_TIMEOUT)


def _vacuum(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        # Waits for the transactions of a running gateway, which are short.
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.exec_driver_sql("VACUUM")
    if connection.dialect.name == "sqlite":
        # In WAL mode the new file is in the WAL now; readers can keep it there for a while.
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _sweeps(
    retention: Retention, now: float, actor_kind: ActorKind, actor: str | None
) -> Iterator[Sweep]:
    now_us = round(now * SECOND)

    def before(days: float) -> int:
        return max(0, now_us - round(days * DAY * SECOND))

    if retention.requests_days:
        yield RequestSweep(before(retention.requests_days))
        for table in (rollups, team_rollups):
            yield RollupSweep(MINUTE, before(retention.requests_days), table)
    if retention.rollups_days:
        for period in (HOUR, DAY):
            for table in (rollups, team_rollups):
                yield RollupSweep(period, before(retention.rollups_days), table)
    if retention.audit_days:
        # By whole days: otherwise every hour would add an entry about deleted entries.
        cutoff = before(retention.audit_days)
        yield AuditSweep(cutoff - cutoff % (DAY * SECOND), now, actor_kind, actor)
    if retention.responses_days:
        yield ResponseSweep(before(retention.responses_days))
    yield WriterSweep(before(_WRITER_DAYS))
