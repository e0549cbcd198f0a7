"""The processes of all gateways on the database, as each last said it is."""

from __future__ import annotations

import time
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, select, text, update

from ...core.processes import ProcessRow
from ..engine.control_tables import processes

_of: Final = processes.c
_MICRO: Final = 1_000_000
_CLOCK: Final = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
# Seconds after which a process that says nothing is forgotten.
FORGOTTEN: Final = 3600.0


def beat(connection: Connection, row: ProcessRow) -> None:
    """Say how a process is, and forget those that have said nothing for long.

    It is seen by the clock of the database: those of hosts differ.
    """
    now = _now(connection)
    values = {
        "host": row.host,
        "pid": row.pid,
        "version": row.version,
        "started": round(row.started * _MICRO),
        "seen": now,
        "state": msgspec.json.encode(row.state).decode(),
    }
    if not connection.execute(update(processes).where(_of.id == row.id).values(**values)).rowcount:
        connection.execute(insert(processes).values(id=row.id, **values))
        old = now - round(FORGOTTEN * _MICRO)
        connection.execute(delete(processes).where(_of.seen < old))


def leave(connection: Connection, process: str) -> None:
    connection.execute(delete(processes).where(_of.id == process))


def all_processes(connection: Connection) -> list[ProcessRow]:
    """Return all that have not been forgotten, by host and age; `seen` is of the caller's clock."""
    ahead = time.time() - _now(connection) / _MICRO
    query = select(processes).order_by(_of.host, _of.started, _of.id)
    return [
        ProcessRow(
            id=row.id,
            host=row.host,
            pid=row.pid,
            version=row.version,
            started=row.started / _MICRO,
            seen=row.seen / _MICRO + ahead,
            state=msgspec.json.decode(row.state),
        )
        for row in connection.execute(query)
    ]


def _now(connection: Connection) -> int:
    if connection.dialect.name == "postgresql":
        return int(connection.scalar(_CLOCK) or 0)
    return round(time.time() * _MICRO)
