"""PostgreSQL, through psycopg 3."""

from __future__ import annotations

import os
import socket
import sqlite3
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError

from ...errors import ConfigError
from ...installation import how_to_add
from .transaction_deadline import TransactionDeadline

_OVERFLOW: Final = 8
_POOL_TIMEOUT: Final = 10.0
# A server that vanished without a word is given up after this many seconds, in whatever state the
# connection is; libpq alone would wait for as long as TCP does, which is a quarter of an hour.
_GONE: Final = 15
# Called insufficient_privilege: https://www.postgresql.org/docs/current/errcodes-appendix.html
_NOT_ALLOWED: Final = "42501"
_CHECKS_SINCE: Final = 140_000
_CHECK_MS: Final = 500
# One core for a page: with parallel workers a page took 1 to 2.4 s on a busy server, 0.2 to 0.5 s
# without, and writers waited for the cores (10^6 rows). Pages read what is recent, which is in
# memory: there a row that an index finds does not cost four times as much as the next one, as is
# the server's default (postgresql.org/docs/current/runtime-config-query.html). A statement that has
# been run ten times is planned once for all values otherwise, as if a time had one row of 200:
# the users of a month then took 0.8 s in place of 0.25. Planning takes half a millisecond.
_READING: Final = (
    "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL random_page_cost = 1.1;"
    " SET LOCAL plan_cache_mode = force_custom_plan"
)
_CONNECT: Final[dict[str, Any]] = {
    "application_name": "llm-gateway",
    "connect_timeout": 5,
    "keepalives_idle": _GONE,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": _GONE * 1000,
}


class Postgresql:
    """The engines of one database; connects when first needed."""

    dialect: Final = "postgresql"

    def __init__(self, url: URL, readers: int) -> None:
        # A password may also stand in the query (postgresql.org/docs/current/libpq-connect.html).
        shown = URL.create("postgresql", url.username, None, url.host, url.port, url.database)
        self.name = shown.render_as_string()
        self._url = url
        # All statements of a reader see one moment, as they do in SQLite.
        self.reader = self._engine(readers, isolation_level="REPEATABLE READ")
        # The audit log's chain reads its last row after it has waited for a lock, and must see what
        # the previous holder has written, whatever the server's default is.
        self.writer = self._engine(1, isolation_level="READ COMMITTED")
        for engine in (self.reader, self.writer):
            event.listen(engine, "connect", _prepare)
        event.listen(self.reader, "connect", _read_only)

    def exists(self) -> bool:
        return True

    def create(self) -> None:
        """Do nothing: a database is made by its administrator."""

    def is_stale(self, connection: Connection) -> bool:
        return False

    def prepare(self, connection: Connection, deadline: TransactionDeadline) -> None:
        """Do nothing: timeouts are set within the transaction."""

    def begin(self, connection: Connection, deadline: TransactionDeadline, *, write: bool) -> None:
        # 0 would mean no limit.
        limit = max(1, int(deadline.left() * 1000))
        # JIT takes longer to compile than these queries run: 94 ms became 52, 43 became 21 (10^7
        # rows, `bench.store_queries`).
        settings = f"SET LOCAL jit = off; SET LOCAL statement_timeout = {limit}"
        connection.exec_driver_sql(settings if write else f"{settings}; {_READING}")

    def end(self, connection: Connection) -> None:
        """Do nothing: what was set was for the transaction."""

    def interruption(self, driver: Any) -> PostgresqlInterruption:
        return PostgresqlInterruption(driver)

    def refuses(self, error: DBAPIError | sqlite3.Error) -> bool:
        """Say whether the server is at fault, and not our SQL.

        InternalError is, among others, a write to a server that has become a standby.
        """
        if getattr(getattr(error, "orig", None), "sqlstate", None) == _NOT_ALLOWED:
            return True
        return isinstance(error, OperationalError | InterfaceError | InternalError)

    def is_locked(self, error: DBAPIError | sqlite3.Error) -> bool:
        """Return False: a lock's timeout is the statement's, and PostgreSQL names it."""
        return False

    def connect_alone(self) -> Any:
        """Return a connection of psycopg beside the pools, which commits by itself.

        Raises psycopg's errors.
        """
        dialect, given = self.writer.dialect, self._url.query
        arguments, options = dialect.create_connect_args(self._url)
        ours = {name: _CONNECT[name] for name in _CONNECT if name not in given}
        return dialect.connect(*arguments, **{**options, **ours, "autocommit": True})

    def _engine(self, size: int, **options: Any) -> Engine:
        given = self._url.query
        try:
            return create_engine(
                self._url,
                connect_args={name: _CONNECT[name] for name in _CONNECT if name not in given},
                pool_size=size,
                max_overflow=_OVERFLOW,
                pool_timeout=_POOL_TIMEOUT,
                hide_parameters=True,
                **options,
            )
        except ImportError as exc:
            raise ConfigError(
                [f"[store] url: PostgreSQL needs a driver ({exc}): {how_to_add('postgres')}"]
            ) from exc


class PostgresqlInterruption:
    """What ends the session of a driver's connection, from any thread and without waiting.

    Its thread finds the connection lost at once, even if the server does not answer at all; the
    server notices as `_prepare` told it to. libpq's PQcancel would not do: it waits for the
    server, and psycopg lets it do so with the GIL.
    """

    def __init__(self, driver: Any) -> None:
        from psycopg import Error

        self._socket: socket.socket | None = None
        # A duplicate: the driver may close its descriptor, and the number may be reused by then.
        with suppress(Error, OSError):  # it is closed, as the next statement will find
            self._socket = socket.socket(fileno=os.dup(driver.pgconn.socket))

    def __call__(self) -> None:
        if self._socket:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._socket:
            self._socket.close()


def _prepare(driver: Any, _record: object) -> None:
    # Otherwise the server notices that the client has gone only when the statement has ended or
    # timed out. The setting exists since version 14, but not on every system.
    from psycopg import Error

    if driver.info.server_version < _CHECKS_SINCE:
        return
    try:
        driver.execute(f"SET client_connection_check_interval = {_CHECK_MS}")
        driver.commit()
    except Error:
        driver.rollback()


def _read_only(driver: Any, _record: object) -> None:
    # From now on psycopg begins with BEGIN READ ONLY.
    driver.read_only = True
