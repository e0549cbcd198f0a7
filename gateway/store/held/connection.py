"""One connection of PostgreSQL that is held: it hears what is notified, and has locks.

Nothing blocks while there is nothing to hear: Trio waits for the socket, and libpq takes from it
what has come (postgresql.org/docs/current/libpq-notify.html). Only what asks the server runs in a
thread, for as long as a deadline allows. Needs a server of its own or a pooler in session mode:
behind one in transaction mode nothing is heard.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Final, TypeVar

import trio

from ...errors import StoreUnavailable
from ..engine.postgresql import PostgresqlInterruption
from ..engine.threads import TransactionThreads
from ..engine.transaction_deadline import TransactionDeadline
from .jobs import CHANNEL, CLASS, JOBS

T = TypeVar("T")

# Seconds for one answer. A server that takes longer may have given the locks to another.
_TIMEOUT: Final = 5.0
# For the last word, which the server gets in any case.
_CLOSE: Final = 1.0
# The server lets go of a client that has vanished without a word after 11 s, not after two
# hours (postgresql.org/docs/current/runtime-config-connection.html).
_SETTINGS: Final = (
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 2",
    "SET tcp_keepalives_count = 3",
    "SET statement_timeout = 4000",
)


class HeldConnection:
    """`connect` returns a connection of psycopg that commits by itself; it may take seconds."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._threads = TransactionThreads(1)
        self._connection: Any = None
        self._interrupt: PostgresqlInterruption | None = None
        self._heard = False

    def __repr__(self) -> str:
        return f"<HeldConnection {'open' if self._connection is not None else 'closed'}>"

    async def open(self) -> None:
        """Connect and listen. Raises StoreUnavailable."""
        connections: list[Any] = []
        deadline = TransactionDeadline(2 * _TIMEOUT)

        def begin() -> None:
            connection = self._connect()
            if deadline.abandoned:
                connection.close()
                return
            connections.append(connection)
            for setting in _SETTINGS:
                connection.execute(setting)
            connection.add_notify_handler(self._hear)
            connection.execute(f"LISTEN {CHANNEL}")

        try:
            await self._ask(begin, deadline)
        finally:
            # Known also where it failed half-way, so that `close` ends it.
            if connections:
                self._connection = connections[0]
                self._interrupt = PostgresqlInterruption(self._connection)

    async def take(self, held: Collection[str]) -> frozenset[str]:
        """Try to lead those jobs that are not `held`; return all that are. Raises StoreUnavailable.

        Asks the server in any case: an answer says that the locks are still ours.
        """
        connection = self._connection
        wanted = [job for job in JOBS if job not in held]

        def ask() -> frozenset[str]:
            if not wanted:
                connection.execute("SELECT 1")
            got = {
                job
                for job in wanted
                if connection.execute(
                    "SELECT pg_try_advisory_lock(%s, %s)", (CLASS, JOBS[job])
                ).fetchone()[0]
            }
            return frozenset({*held, *got})

        deadline = TransactionDeadline(_TIMEOUT)
        assert self._interrupt is not None
        deadline.hold(self._interrupt)
        try:
            return await self._ask(ask, deadline)
        finally:
            deadline.release()

    async def heard(self, seconds: float) -> bool:
        """Wait so long, or until something was notified, and say whether it was.

        Raises StoreUnavailable.
        """
        from psycopg import Error

        try:
            if not self._taken():
                with trio.move_on_after(seconds):
                    while not self._taken():
                        await trio.lowlevel.wait_readable(self._connection.pgconn.socket)
                        self._connection.pgconn.consume_input()
        except (Error, OSError) as exc:
            raise StoreUnavailable(f"the database has closed a connection: {exc}") from exc
        heard, self._heard = self._heard, False
        return heard

    async def close(self) -> None:
        """End it, and so the locks; the server hears of it even if a thread still has it."""
        connection, self._connection = self._connection, None
        interrupt, self._interrupt = self._interrupt, None
        if connection is None or interrupt is None:
            return
        interrupt()
        interrupt.close()
        with trio.move_on_after(_CLOSE, shield=True), suppress(StoreUnavailable):
            await self._ask(connection.close, TransactionDeadline(_CLOSE))

    def _taken(self) -> bool:
        """Take note of what has come; say whether anything has."""
        while self._connection.pgconn.notifies() is not None:
            self._heard = True
        return self._heard

    def _hear(self, _notify: object) -> None:
        # Called in the thread that asks, with what has come between two answers.
        self._heard = True

    async def _ask(self, work: Callable[[], T], deadline: TransactionDeadline) -> T:
        from psycopg import Error

        try:
            return await self._threads.run(work, deadline)
        except (Error, OSError) as exc:
            raise StoreUnavailable(f"the database cannot be used: {exc}") from exc
