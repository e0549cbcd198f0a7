"""The processes of all gateways on the database, as each last said it is."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from ..engine.control_tables import processes

_of: Final = processes.c
_MICRO: Final = 1_000_000
# Seconds after which a process that says nothing is taken to be gone, and is forgotten.
GONE: Final = 15.0
FORGOTTEN: Final = 3600.0


class ProcessRow(msgspec.Struct, frozen=True, kw_only=True):
    """`started` and `seen` are Unix seconds, `state` is what the process says of itself."""

    id: str
    host: str
    pid: int
    version: str
    started: float
    seen: float
    state: dict[str, Any]


def beat(connection: Connection, row: ProcessRow) -> None:
    """Say how a process is, and forget those that have said nothing for long."""
    values = {
        "host": row.host,
        "pid": row.pid,
        "version": row.version,
        "started": round(row.started * _MICRO),
        "seen": round(row.seen * _MICRO),
        "state": msgspec.json.encode(row.state).decode(),
    }
    if not connection.execute(update(processes).where(_of.id == row.id).values(**values)).rowcount:
        connection.execute(insert(processes).values(id=row.id, **values))
        old = round((row.seen - FORGOTTEN) * _MICRO)
        connection.execute(delete(processes).where(_of.seen < old))


def leave(connection: Connection, process: str) -> None:
    connection.execute(delete(processes).where(_of.id == process))


def all_processes(connection: Connection) -> list[ProcessRow]:
    """Return all that have not been forgotten, by host and age."""
    query = select(processes).order_by(_of.host, _of.started, _of.id)
    return [
        ProcessRow(
            id=row.id,
            host=row.host,
            pid=row.pid,
            version=row.version,
            started=row.started / _MICRO,
            seen=row.seen / _MICRO,
            state=msgspec.json.decode(row.state),
        )
        for row in connection.execute(query)
    ]
