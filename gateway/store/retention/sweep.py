"""One sweep for each table: finds and deletes old rows, a batch at a time.

Each step is one short transaction by a range of the primary key, which reads only the rows to be
deleted. A step begins where the last one ended, so that PostgreSQL does not read the dead rows of
all earlier steps again.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any, Final, Protocol

import msgspec
from msgspec import structs
from sqlalchemy import Connection, Table, delete, select, tuple_

from ...core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult
from ..engine.ids import first_id
from ..engine.kept_tables import kept_responses
from ..engine.schema import attempts, audit, requests, rollups, writers
from ..writing import chain

SECOND: Final = 1_000_000
# Each batch adds an entry to the audit log, and there should be few. Audit rows are deleted faster
# than those of requests, which have three times the indexes.
_AUDIT_BATCHES: Final = 4


class PruneCounts(msgspec.Struct, kw_only=True):
    """How many rows were deleted; `captures` are files, of `capture_bytes` in all."""

    requests: int = 0
    attempts: int = 0
    rollups: int = 0
    audit: int = 0
    writers: int = 0
    responses: int = 0
    captures: int = 0
    capture_bytes: int = 0

    def add(self, other: PruneCounts) -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__struct_fields__)


class Sweep(Protocol):
    finished: bool

    def step(self, connection: Connection, limit: int) -> PruneCounts:
        """Delete about `limit` rows, in a transaction. After a failed one begin a new sweep."""


class RequestSweep:
    """Requests from before `cutoff` (microseconds), and their attempts."""

    def __init__(self, cutoff: int) -> None:
        self.finished = False
        self._end = first_id(cutoff)
        self._after = -1

    def step(self, connection: Connection, limit: int) -> PruneCounts:
        row_id = requests.c.id
        old = select(row_id).where(row_id > self._after, row_id < self._end)
        last = connection.scalar(old.order_by(row_id).offset(limit - 1).limit(1))
        if last is None:
            self.finished, last = True, self._end - 1
        counts = PruneCounts()
        for table, column in ((attempts, attempts.c.request), (requests, row_id)):
            gone = delete(table).where(column > self._after, column <= last)
            setattr(counts, table.name, connection.execute(gone).rowcount)
        self._after = last
        return counts


class RollupSweep:
    """Roll-ups of one period, in seconds, that ended before `cutoff` (microseconds).

    `table` is one of the two that there are.
    """

    def __init__(self, period: int, cutoff: int, table: Table = rollups) -> None:
        self.finished = False
        self._table = table
        self._key = tuple(each for each in table.primary_key.columns if each.name != "period")
        self._period = period
        self._last_start = cutoff - period * SECOND
        self._after: tuple[Any, ...] = (-1,)

    def step(self, connection: Connection, limit: int) -> PruneCounts:
        # One lower and one upper bound at a time, since SQLite seeks by one of each only.
        table, key = self._table, self._key
        after = (
            table.c.period == self._period,
            tuple_(*key[: len(self._after)]) > tuple_(*self._after),
        )
        query = select(*key).where(*after, table.c.start <= self._last_start)
        last = connection.execute(query.order_by(*key).offset(limit - 1).limit(1)).first()
        if last is None:
            self.finished = True
            gone = delete(table).where(*after, table.c.start <= self._last_start)
        else:
            self._after = tuple(last)
            gone = delete(table).where(*after, tuple_(*key) <= self._after)
        return PruneCounts(rollups=connection.execute(gone).rowcount)


class AuditSweep:
    """The oldest entries of the audit log, up to the first from `cutoff` (microseconds) or later.

    Only from the beginning, since every entry has the hash of the one before. The same transaction
    adds an entry at the end that says what was deleted: so `chain.verify` finds a valid beginning
    at any moment. `now` is Unix seconds.
    """

    def __init__(self, cutoff: int, now: float, actor_kind: ActorKind, actor: str | None) -> None:
        self.finished = False
        self._cutoff = cutoff
        self._event = AuditEvent(
            time=now,
            action=AuditAction.RETENTION,
            result=AuditResult.OK,
            actor_kind=actor_kind,
            actor=actor,
            target="audit",
        )

    def step(self, connection: Connection, limit: int) -> PruneCounts:
        limit *= _AUDIT_BATCHES
        query = select(audit.c.id, audit.c.time, audit.c.hash).order_by(audit.c.id).limit(limit)
        rows = connection.execute(query).all()
        old = [*takewhile(lambda row: row.time < self._cutoff, rows)]
        self.finished = len(old) < limit
        if not old:
            return PruneCounts()
        last = old[-1].id
        taken = {
            "first_remaining_id": last + 1,
            "last_deleted_hash": old[-1].hash,
            "count": len(old),
        }
        # Before the deletion: the new entry follows the last one, which may be among the deleted.
        chain.append(connection, [structs.replace(self._event, details=taken)])
        gone = delete(audit).where(audit.c.id <= last)
        return PruneCounts(audit=connection.execute(gone).rowcount)


class ResponseSweep:
    """Kept responses from before `cutoff` (microseconds)."""

    def __init__(self, cutoff: int) -> None:
        self.finished = False
        self._cutoff = cutoff

    def step(self, connection: Connection, limit: int) -> PruneCounts:
        created, key = kept_responses.c.created, (kept_responses.c.owner, kept_responses.c.id)
        old = select(*key).where(created < self._cutoff).order_by(created).limit(limit)
        rows = [tuple(row) for row in connection.execute(old)]
        self.finished = len(rows) < limit
        if not rows:
            return PruneCounts()
        gone = delete(kept_responses).where(tuple_(*key).in_(rows))
        return PruneCounts(responses=connection.execute(gone).rowcount)


class WriterSweep:
    """The rows of writers that have not written since `cutoff` (microseconds)."""

    def __init__(self, cutoff: int) -> None:
        self.finished = False
        self._cutoff = cutoff

    def step(self, connection: Connection, limit: int) -> PruneCounts:
        # One row for each process that ever wrote: few, so one step deletes all.
        self.finished = True
        gone = delete(writers).where(writers.c.time < self._cutoff)
        return PruneCounts(writers=connection.execute(gone).rowcount)
