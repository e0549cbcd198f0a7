"""Which processes and hosts operators want out of service, and until when."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, insert, or_, select

from ...core.processes import ProcessDrain
from ..engine.control_tables import process_drains
from .generations import PROCESS_DRAINS, advance

_of: Final = process_drains.c
_MICRO: Final = 1_000_000


def drains(connection: Connection, now: float) -> list[ProcessDrain]:
    """Return those that are not over; there are as many as hosts at most, or so."""
    query = select(process_drains).where(_of.until > round(now * _MICRO))
    return [
        ProcessDrain(
            target=row.target, until=row.until / _MICRO, by=row.drained_by, reason=row.reason
        )
        for row in connection.execute(query)
    ]


def put(connection: Connection, drain: ProcessDrain, now: float) -> None:
    """Put `drain` in the place of the one of its target, and forget those that are over."""
    remove(connection, drain.target, now)
    connection.execute(
        insert(process_drains).values(
            target=drain.target,
            until=round(drain.until * _MICRO),
            drained_by=drain.by,
            reason=drain.reason,
        )
    )


def remove(connection: Connection, target: str, now: float) -> bool:
    """End the drain of `target`, and say whether there was one."""
    advance(connection, PROCESS_DRAINS)
    there = any(each.target == target for each in drains(connection, now))
    over = or_(_of.target == target, _of.until <= round(now * _MICRO))
    connection.execute(delete(process_drains).where(over))
    return there
