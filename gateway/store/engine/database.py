"""The database: transactions in SQLite or PostgreSQL, from threads or from Trio."""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...errors import ConfigError, StoreUnavailable
from .postgresql import Postgresql
from .sqlite import Sqlite
from .transaction_deadline import TransactionDeadline

if TYPE_CHECKING:
    from .threads import TransactionThreads

T = TypeVar("T")

TIMEOUT: Final = 10.0
# Threads, and connections, that read at the same time. More would take the GIL from the event
# loop more often, and finish no sooner.
READERS: Final = 4

# Where a connection keeps the deadline of its transaction.
_DEADLINE: Final = "deadline"

_SQLITE: Final = {"sqlite"}
_POSTGRESQL: Final = {"postgresql", "postgres", "postgresql+psycopg"}


class Database:
    """The database of one URL; a relative SQLite file is taken from the folder `base`.

    Does not connect yet. `name` is for people: the URL without its password. Raises ConfigError
    for an invalid URL, and if its driver is missing.

    A transaction's `work` gets the connection and must not commit or roll back. It may be
    abandoned at any statement once `timeout` seconds are over, and then raises StoreUnavailable,
    as it does when the database fails. Errors in the gateway's own SQL, and violated constraints,
    are raised as they are.
    """

    def __init__(self, url: str, base: Path) -> None:
        # For another process that opens the same one; the URL may have a password.
        self.url: Final = url
        self.base: Final = base
        self._backend = _backend(url, base)
        self._closed = False
        # Why `read` and `write` are refused, until the tables are known to be the gateway's.
        self.barred: str | None = None
        for engine in (self._backend.reader, self._backend.writer):
            event.listen(engine, "before_cursor_execute", _check_deadline)

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return self._backend.dialect

    @property
    def name(self) -> str:
        return self._backend.name

    @property
    def connects_alone(self) -> Callable[[], Any] | None:
        """Return what connects to PostgreSQL beside the pools; None for SQLite."""
        backend = self._backend
        return backend.connect_alone if isinstance(backend, Postgresql) else None

    @property
    def file(self) -> Path | None:
        """Return the SQLite file; None for PostgreSQL."""
        return self._backend.path if isinstance(self._backend, Sqlite) else None

    @property
    def busy(self) -> int:
        """How many threads are at work for `read` and `write`, abandoned ones included."""
        return self._read_threads.busy + self._write_threads.busy

    @property
    def connections_in_use(self) -> int:
        return sum(
            engine.pool.checkedout()  # type: ignore[attr-defined]  # it is a QueuePool
            for engine in (self._backend.reader, self._backend.writer)
        )

    def __repr__(self) -> str:
        closed = " closed" if self._closed else ""
        return f"<Database {self.name}{closed} {self.connections_in_use} connections in use>"

    def exists(self) -> bool:
        """Say whether there is an SQLite file; PostgreSQL's database is taken to be there."""
        return self._backend.exists()

    def create(self) -> None:
        """Make an SQLite file that is not there yet. Raises ConfigError and StoreUnavailable."""
        self._backend.create()

    # From a thread, or where nothing else runs...

    def read_now(self, work: Callable[[Connection], T], timeout: float = TIMEOUT) -> T:
        """Return what `work` does, in a transaction that sees one moment and cannot write."""
        return self._transact(work, TransactionDeadline(timeout), _Kind.READ)

    def write_now(self, work: Callable[[Connection], T], timeout: float = TIMEOUT) -> T:
        """Return what `work` does; it is committed on return and rolled back if `work` raises."""
        return self._transact(work, TransactionDeadline(timeout), _Kind.WRITE)

    def autocommit_now(self, work: Callable[[Connection], T], timeout: float = TIMEOUT) -> T:
        """Return what `work` does outside of any transaction, each statement for itself.

        The session is `work`'s own and ends with it, with the locks and settings made in it. On
        PostgreSQL a statement that has begun has no timeout.
        """
        return self._transact(work, TransactionDeadline(timeout), _Kind.AUTOCOMMIT)

    # From Trio...

    async def read(self, work: Callable[[Connection], T], timeout: float = TIMEOUT) -> T:
        """Do `read_now` in a thread; `timeout` includes waiting for one.

        Cancelled, it returns at once: `work` is interrupted, and its thread and connection are
        freed by themselves.
        """
        self._admit()
        deadline = TransactionDeadline(timeout)
        return await self._read_threads.run(
            lambda: self._transact(work, deadline, _Kind.READ), deadline
        )

    async def write(self, work: Callable[[Connection], T], timeout: float = TIMEOUT) -> T:
        """Do `write_now` in a thread, one at a time; `timeout` includes waiting for the others.

        Cancelled or too late, it returns at once, and whether the transaction was committed just
        before is not known.
        """
        self._admit()
        deadline = TransactionDeadline(timeout)
        return await self._write_threads.run(
            lambda: self._transact(work, deadline, _Kind.WRITE), deadline
        )

    def _admit(self) -> None:
        if self.barred is not None:
            raise StoreUnavailable(self.barred)

    def close(self) -> None:
        """Close the connections; those in use when they are given back."""
        self._closed = True
        # The writer last: the last to close an SQLite file moves its WAL into it.
        self._backend.reader.dispose()
        self._backend.writer.dispose()

    @cached_property
    def _read_threads(self) -> TransactionThreads:
        from .threads import TransactionThreads

        return TransactionThreads(READERS)

    @cached_property
    def _write_threads(self) -> TransactionThreads:
        # Imported late: the command line needs no Trio.
        from .threads import TransactionThreads

        # SQLite allows one writer anyway, and two batches would only wait for each other.
        return TransactionThreads(1)

    def _transact(
        self, work: Callable[[Connection], T], deadline: TransactionDeadline, kind: _Kind
    ) -> T:
        if self._closed:
            raise StoreUnavailable("the database cannot be used: it is closed")
        deadline.check()
        try:
            try:
                return self._attempt(work, deadline, kind)
            except _StaleError:
                # All connections of the same age have been discarded by now.
                return self._attempt(work, deadline, kind)
        except _StaleError as exc:
            raise StoreUnavailable("the database cannot be used: it closes connections") from exc
        except PoolTimeout as exc:
            raise StoreUnavailable("the database cannot be used: too many use it") from exc
        except (DBAPIError, sqlite3.Error) as exc:
            if not self._backend.refuses(exc):
                raise
            if deadline.over() and not self._backend.is_locked(exc):
                raise deadline.unavailable() from exc
            raise StoreUnavailable(f"the database cannot be used: {_reason(exc)}") from exc

    def _attempt(
        self, work: Callable[[Connection], T], deadline: TransactionDeadline, kind: _Kind
    ) -> T:
        backend = self._backend
        engine = backend.reader if kind is _Kind.READ else backend.writer
        with engine.connect() as connection:
            if backend.is_stale(connection):
                # All others that wait in the pool are stale, too.
                connection.invalidate()
                engine.dispose()
                raise _StaleError
            alone = kind is _Kind.AUTOCOMMIT
            if alone:
                connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.info[_DEADLINE] = deadline
            interruption = backend.interruption(connection.connection.driver_connection)
            deadline.hold(interruption)
            try:
                backend.prepare(connection, deadline)
                with connection.begin():
                    if not alone:
                        self._begin(connection, deadline, kind)
                    return work(connection)
            finally:
                deadline.release()
                interruption.close()
                if not connection.invalidated:
                    del connection.info[_DEADLINE]
                    # An abandoned connection is not used again: the interruption may still come.
                    if deadline.abandoned or alone or self._closed:
                        connection.invalidate()
                    else:
                        backend.end(connection)

    def _begin(self, connection: Connection, deadline: TransactionDeadline, kind: _Kind) -> None:
        # A failure before `work` has seen the connection can be retried: a server that was
        # restarted has closed every connection that waited in the pool. Testing each connection
        # first (`pool_pre_ping`) would cost a round trip, and could not be interrupted.
        try:
            self._backend.begin(connection, deadline, write=kind is _Kind.WRITE)
        except DBAPIError as exc:
            if exc.connection_invalidated and not deadline.over():
                raise _StaleError from exc
            raise


class _Kind(enum.Enum):
    READ = "read"
    WRITE = "write"
    AUTOCOMMIT = "autocommit"


class _StaleError(Exception):
    """A connection out of the pool turned out to be closed."""


def _backend(text: str, base: Path) -> Sqlite | Postgresql:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as exc:
        raise ConfigError(
            ["[store] url: must be sqlite:///FILE or postgresql://USER@HOST/DATABASE"]
        ) from exc
    if url.drivername in _SQLITE:
        return Sqlite(_sqlite_path(url, base), READERS)
    if url.drivername in _POSTGRESQL:
        return Postgresql(url.set(drivername="postgresql+psycopg"), READERS)
    raise ConfigError(
        [
            f"[store] url: {url.drivername!r} is not supported; it must be sqlite:///FILE"
            " or postgresql://USER@HOST/DATABASE"
        ]
    )


def _sqlite_path(url: URL, base: Path) -> Path:
    if url.host or not url.database or url.database == ":memory:" or url.query:
        raise ConfigError(
            ["[store] url: SQLite takes a file and no options, such as sqlite:///gateway.db"]
        )
    return base.absolute() / url.database


def _check_deadline(connection: Connection, *_: Any) -> None:
    deadline = connection.info.get(_DEADLINE)
    if deadline is not None:
        deadline.check()


def _reason(error: DBAPIError | sqlite3.Error) -> str:
    # The first line: the others of PostgreSQL's quote the row.
    found = error.orig if isinstance(error, DBAPIError) else error
    return (str(found).strip().splitlines() or [type(found).__name__])[0]
