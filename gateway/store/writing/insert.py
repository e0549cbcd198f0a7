"""One transaction of the writer: batches, what they add to the roll-ups, and how far it has come.

Exactly once: a writer's row says up to which number its batches are in the database, and changes
in the transaction that writes them. A commit's answer can be missing because the server was killed
or the transaction was abandoned. Then the batch is written again, and skipped if it is there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import chain as chained
from time import time
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from ...core.records.audit import AuditEvent
from ...core.records.record import Record
from ...errors import GatewayError
from ..engine.ids import SPREAD, id_of
from ..engine.schema import attempts, requests, rollups, team_rollups, writers
from .batch import Batch, Rejected
from .rollup_rows import RollupModels, rollup_rows, team_rollup_rows
from .rows import Row, attempt_rows, request_row, time_us

T = TypeVar("T")

Chain = Callable[[Connection, Sequence[AuditEvent]], int]

# Errors of the database, of its deadline and of the machine hit every other row too. Only these
# of them are a single row's; and so is whatever the making of a row raises.
_OF_A_ROW: Final = (DataError, IntegrityError)
_OF_ALL: Final = (SQLAlchemyError, GatewayError, OSError, MemoryError)
# How often keys are drawn: ten bits at random, of a later microsecond each time.
_DRAWS: Final = 8
_ALONE: Final = 32
# Rows in one statement: `sqlite3` lets go of the interpreter and takes it again twice for each row
# of an `executemany`, and each time the event loop and this thread wait for each other. That was a
# tenth of what a request costs. 999 parameters are the most that SQLite before 3.32 takes.
_TOGETHER: Final = (16, 4, 1)
_LOW_BITS: Final = SPREAD.bit_length() - 1
_REQUEST_ID: Final = [column.name for column in requests.columns].index("request_id")


class InsertOutcome(msgspec.Struct):
    """What a transaction did: items written, and those that never will be."""

    written: int = 0
    rejected: list[Rejected] = []


def write_batches(
    connection: Connection,
    writer: str,
    batches: Sequence[Batch],
    chain: Chain,
    models: RollupModels,
) -> InsertOutcome:
    """Write those of a writer's `batches`, in order, that have not been written yet."""
    mark, first, last = _Marks(connection, writer), batches[0].number, batches[-1].number
    if not mark.advance(first, last):
        written = mark.read()
        batches = [batch for batch in batches if batch.number > written]
        if not batches or not mark.advance(batches[0].number, last):
            return InsertOutcome()
    work = _Insertion(connection)
    records = [record for batch in batches for record in batch.records]
    events = [event for batch in batches for event in batch.events]
    written = work.insert(records, work.records)
    # All rows in one sorted statement: in parts, two processes could lock them crosswise.
    work.insert(work.rollup_rows(models), work.rollups)
    work.insert(team_rollup_rows(work.rows, models), work.team_rollups)
    # Last, since other processes wait for the chain's lock until this transaction ends.
    written += work.insert(events, lambda some, _draw: chain(connection, some))
    return InsertOutcome(written, work.rejected)


class _Insertion:
    """What one transaction inserts; a part that is refused is halved until the bad row is found."""

    def __init__(self, connection: Connection) -> None:
        self.rejected: list[Rejected] = []
        self.rows: list[Row] = []
        self._sql: _Sql = _SQL[connection.dialect.name]
        self._connection = connection
        self._keys: set[int] = set()

    def insert(self, items: Sequence[T], write: Callable[[Sequence[T], int], Any]) -> int:
        """Write `items` and return how many of them were."""
        if not items:
            return 0
        draws = _DRAWS if len(items) > 1 else _ALONE
        for draw in range(draws):
            try:
                with _Savepoint(self._connection):
                    write(items, draw)
                return len(items)
            except IntegrityError as exc:
                # A key was taken: another process had the same microsecond and the same luck.
                reason = _reason(exc)
            except Exception as exc:
                if not _is_of_a_row(exc):
                    raise
                reason = _reason(exc)
                break
        if len(items) == 1:
            self.rejected.append(Rejected(items[0], reason))
            return 0
        middle = len(items) // 2
        return self.insert(items[:middle], write) + self.insert(items[middle:], write)

    def records(self, records: Sequence[Record], draw: int) -> None:
        """Insert requests and attempts, with keys that no row of this transaction has."""
        keys = {*self._keys}
        made = [(record, self._key(record, draw, keys)) for record in records]
        rows = [request_row(record, key) for record, key in made]
        self._append("requests", rows)
        self._append(
            "attempts",
            [row for record, key in made if record.attempts for row in attempt_rows(record, key)],
        )
        self._keys = keys
        self.rows += rows

    def rollup_rows(self, models: RollupModels) -> list[Row]:
        """Return what the requests add to the roll-ups; those that add up to nothing are set aside.

        They are in the table of requests all the same.
        """
        try:
            return rollup_rows(self.rows, models)
        except Exception:  # noqa: BLE001  # of one row, which would hold up all others
            self.rows = [row for row in self.rows if self._adds_up(row, models)]
            return rollup_rows(self.rows, models)

    def rollups(self, rows: Sequence[Row], _draw: int) -> None:
        """Add to the roll-ups that exist, insert the others."""
        self._connection.exec_driver_sql(self._sql.rollups, [*rows])

    def team_rollups(self, rows: Sequence[Row], _draw: int) -> None:
        """Do the same with the roll-ups by team."""
        self._connection.exec_driver_sql(self._sql.team_rollups, [*rows])

    def _adds_up(self, row: Row, models: RollupModels) -> bool:
        try:
            rollup_rows([row], models)
        except Exception as exc:  # noqa: BLE001  # of any kind
            item = {"request_id": row[_REQUEST_ID]}
            self.rejected.append(Rejected(item, f"not in the roll-ups: {_reason(exc)}"))
            return False
        return True

    def _key(self, record: Record, draw: int, keys: set[int]) -> int:
        key = id_of(time_us(record) + draw, random.getrandbits(_LOW_BITS))
        while key in keys:
            key += 1
        keys.add(key)
        return key

    def _append(self, table: str, rows: list[Row]) -> None:
        if not rows:
            return
        if self._sql.copy:
            _copy(self._connection, self._sql.copy[table], rows)
            return
        start = 0
        while start < len(rows):
            size = next(each for each in _TOGETHER if each <= len(rows) - start)
            values = (*chained.from_iterable(rows[start : start + size]),)
            self._connection.exec_driver_sql(self._sql.insert[table, size], values)
            start += size


class _Savepoint:
    """Rolls one part back if it caused the error; other errors end the transaction.

    SQLAlchemy's own compile their statements each time, which costs 0.1 ms.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.exec_driver_sql("SAVEPOINT part")

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            self._connection.exec_driver_sql("RELEASE SAVEPOINT part")
        elif _is_of_a_row(error):
            self._connection.exec_driver_sql("ROLLBACK TO SAVEPOINT part")
            self._connection.exec_driver_sql("RELEASE SAVEPOINT part")


class _Marks:
    """A writer's row in `writers`. On PostgreSQL the first `advance` locks it."""

    def __init__(self, connection: Connection, writer: str) -> None:
        self._connection = connection
        self._writer = writer

    def advance(self, first: int, last: int) -> bool:
        """Go on to `last`; not if `first` was written already."""
        return bool(
            self._connection.exec_driver_sql(
                _SQL[self._connection.dialect.name].advance,
                (self._writer, last, int(time() * 1e6), first),
            ).rowcount
        )

    def read(self) -> int:
        query = select(writers.c.batch).where(writers.c.id == self._writer)
        return int(self._connection.execute(query).scalar_one())


class _Sql:
    """The statements in the driver's own syntax: SQLAlchemy's parameters cost twice the insert."""

    def __init__(self, mark: str, *, copy: bool) -> None:
        tables = {table.name: table for table in (requests, attempts)}
        self.insert = {
            (name, size): _insert(table, mark, size)
            for name, table in tables.items()
            for size in _TOGETHER
        }
        # psycopg takes half as long for a COPY as for `executemany`.
        self.copy = {
            name: f"COPY {name} ({_names(table)}) FROM STDIN" for name, table in tables.items()
        } if copy else {}  # fmt: skip
        self.rollups = _adding(rollups, mark)
        self.team_rollups = _adding(team_rollups, mark)
        self.advance = (
            f"{_insert(writers, mark)} ON CONFLICT (id) DO UPDATE"
            f" SET batch = excluded.batch, time = excluded.time WHERE writers.batch < {mark}"
        )


def _insert(table: Table, mark: str, rows: int = 1) -> str:
    marks = ", ".join([mark] * len(table.columns))
    values = ", ".join([f"({marks})"] * rows)
    return f"INSERT INTO {table.name} ({_names(table)}) VALUES {values}"  # noqa: S608  # our own


def _adding(table: Table, mark: str) -> str:
    """Return the statement that adds a row of sums to the one with its key, if there is one."""
    keys = [f'"{column.name}"' for column in table.primary_key.columns]
    sums = [f'"{column.name}"' for column in table.columns if not column.primary_key]
    return f"{_insert(table, mark)} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET " + ", ".join(
        f"{name} = {table.name}.{name} + excluded.{name}" for name in sums
    )


def _names(table: Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


_SQL: Final = {"sqlite": _Sql("?", copy=False), "postgresql": _Sql("%s", copy=True)}


def _copy(connection: Connection, statement: str, rows: Iterable[Row]) -> None:
    driver: Any = connection.connection.driver_connection
    errors: Any = connection.dialect.dbapi
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except errors.Error as exc:
        # The same exception that SQLAlchemy would have raised.
        raise DBAPIError.instance(
            statement, None, exc, errors.Error, hide_parameters=True, dialect=connection.dialect
        ) from exc


def _is_of_a_row(error: BaseException) -> bool:
    if isinstance(error, _OF_A_ROW):
        return True
    return isinstance(error, Exception) and not isinstance(error, _OF_ALL)


def _reason(error: BaseException) -> str:
    # PostgreSQL's second line quotes the row.
    found = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(found).__name__}: {(str(found).strip().splitlines() or [''])[0]}"
