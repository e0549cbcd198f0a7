"""SQLite: one file, one writer at a time, and readers that neither wait for it nor hold it up."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine
from sqlalchemy.exc import DBAPIError

from ...errors import ConfigError, StoreUnavailable
from ...file_owner import give_to_owner
from .transaction_deadline import TransactionDeadline

# SQLite's busy handler sleeps where nothing can interrupt it. So it may sleep for this many seconds
# at a time, and the deadline is checked in between.
_SLICE: Final = 0.1
# Seconds that a new connection may wait for another process that is creating the file.
_PATIENCE: Final = 10.0
# Instructions of SQLite's virtual machine, about 20 ms, between two calls of the progress handler.
# A call needs the GIL, for which it may wait 5 ms while the event loop is busy.
_INSTRUCTIONS: Final = 1_000_000
# What the WAL file is cut back to after it grew behind a long reader.
_WAL_BYTES: Final = 64 * 1024 * 1024
_OVERFLOW: Final = 8
_POLL: Final = 0.01
_SETTINGS: Final = (FileNotFoundError, NotADirectoryError, PermissionError)
_LOCKED: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# Errors of the file or the disk. SQLITE_ERROR, for one, is an error in the gateway's SQL.
_FAULTS: Final = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_NOTADB,
}


# The key in `Connection.info` for the file that the connection has open.
_FILE: Final = "file"


class Sqlite:
    """The engines of one file; nothing is opened before it is needed."""

    dialect: Final = "sqlite"

    def __init__(self, path: Path, readers: int) -> None:
        self.path = path
        self.name = f"sqlite:///{path}"
        # `rw` and not `rwc`: a file that was moved away while the gateway runs must not be created
        # again without its tables.
        self._uri = f"file:{quote(str(path))}?mode=rw"
        self.reader = self._engine(self._open_to_read, readers)
        self.writer = self._engine(self._open_to_write, 1)

    def exists(self) -> bool:
        return self.path.exists()

    def create(self) -> None:
        """Make the file, readable by its owner only, unless there is one.

        Raises ConfigError if its folder does not allow it, and StoreUnavailable.
        """
        if self.path.is_dir():
            raise ConfigError([f"[store] url: {self.path} is a directory, not a file"])
        if self.path.exists():
            return
        try:
            # Only a file that is new may be closed here: closing any descriptor of a file drops
            # all locks that this process has on it (sqlite.org/howtocorrupt.html, 2.2).
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                give_to_owner(descriptor, self.path.parent)
            finally:
                os.close(descriptor)
        except FileExistsError:
            return
        except _SETTINGS as exc:
            raise ConfigError([f"[store] url: {self.path} cannot be made: {exc.strerror}"]) from exc
        except OSError as exc:
            raise StoreUnavailable(f"{self.path} cannot be made: {exc.strerror}") from exc

    def is_stale(self, connection: Connection) -> bool:
        """Say whether the file was deleted, moved or replaced since the connection was opened.

        SQLite does not notice, and would go on writing into a file that has no name any more.
        """
        try:
            found = self.path.stat()
        except OSError:
            return _FILE in connection.info
        here = (found.st_dev, found.st_ino)
        return bool(connection.info.setdefault(_FILE, here) != here)

    def prepare(self, connection: Connection, deadline: TransactionDeadline) -> None:
        driver = _driver(connection)
        driver.set_progress_handler(deadline.over, _INSTRUCTIONS)
        _set_busy_timeout(driver, deadline.left())

    def begin(self, connection: Connection, deadline: TransactionDeadline, *, write: bool) -> None:
        driver = _driver(connection)
        if not write:
            driver.execute("BEGIN")
            return
        _set_busy_timeout(driver, _SLICE)
        _begin_immediate(driver, deadline)
        _set_busy_timeout(driver, deadline.left())

    def end(self, connection: Connection) -> None:
        _driver(connection).set_progress_handler(None, 0)

    def interruption(self, driver: Any) -> _SqliteInterruption:
        return _SqliteInterruption(driver)

    def refuses(self, error: DBAPIError | sqlite3.Error) -> bool:
        """Say whether the error is the file's, and not that of the gateway's SQL."""
        return _code(error) in _FAULTS

    def is_locked(self, error: DBAPIError | sqlite3.Error) -> bool:
        """Say whether another connection's lock took the time."""
        return _code(error) in _LOCKED

    def _engine(self, connect: Callable[[], sqlite3.Connection], size: int) -> Engine:
        return create_engine(
            "sqlite://",
            creator=connect,
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=_OVERFLOW,
            pool_timeout=_PATIENCE,
            hide_parameters=True,
        )

    def _open_to_read(self) -> sqlite3.Connection:
        return self._open("PRAGMA query_only = ON")

    def _open_to_write(self) -> sqlite3.Connection:
        # In WAL mode, NORMAL loses the last transactions when the power fails, but never the
        # file's integrity (sqlite.org/pragma.html#pragma_synchronous).
        return self._open(
            "PRAGMA synchronous = NORMAL",
            f"PRAGMA journal_size_limit = {_WAL_BYTES}",
            "PRAGMA journal_mode = WAL",
        )

    def _open(self, *pragmas: str) -> sqlite3.Connection:
        # `begin` starts transactions: the driver's own rules start none before a SELECT.
        driver = sqlite3.connect(
            self._uri, uri=True, timeout=_SLICE, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in pragmas:
                _persist(driver, pragma)
        except BaseException:
            driver.close()
            raise
        return driver


class _SqliteInterruption:
    """What interrupts a driver's connection, from any thread and without waiting."""

    def __init__(self, driver: sqlite3.Connection) -> None:
        self._driver = driver

    def __call__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # it is closed
            self._driver.interrupt()

    def close(self) -> None:
        """Do nothing: the connection is the pool's."""


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _set_busy_timeout(driver: sqlite3.Connection, seconds: float) -> None:
    driver.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


def _begin_immediate(driver: sqlite3.Connection, deadline: TransactionDeadline) -> None:
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as exc:
            if _code(exc) not in _LOCKED or deadline.over():
                raise


def _persist(driver: sqlite3.Connection, pragma: str) -> None:
    # The switch to WAL needs the file exclusively for a moment, and SQLite does not call the busy
    # handler to wait for that.
    until = monotonic() + _PATIENCE
    while True:
        try:
            driver.execute(pragma).close()
            return
        except sqlite3.OperationalError as exc:
            if _code(exc) not in _LOCKED or monotonic() > until:
                raise
            sleep(_POLL)


def _code(error: DBAPIError | sqlite3.Error) -> int:
    found = error.orig if isinstance(error, DBAPIError) else error
    # The low byte is the kind of error, the others are details. Errors of the driver have no code.
    return int(getattr(found, "sqlite_errorcode", 0)) & 0xFF
