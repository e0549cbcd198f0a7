"""Requests that an operator wants cancelled, in whichever process they are."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, insert, or_, select

from ..engine.control_tables import cancellations
from .generations import CANCELLATIONS, advance

_of: Final = cancellations.c
_MICRO: Final = 1_000_000
# Seconds that the processes have to see it.
LASTS: Final = 60.0


def ask(connection: Connection, request_id: str, now: float) -> None:
    """Ask all processes to cancel the request, and forget what was asked long ago."""
    advance(connection, CANCELLATIONS)
    old = round((now - LASTS) * _MICRO)
    connection.execute(
        delete(cancellations).where(or_(_of.asked < old, _of.request_id == request_id))
    )
    connection.execute(
        insert(cancellations).values(request_id=request_id, asked=round(now * _MICRO))
    )


def asked_since(connection: Connection, since: float) -> list[tuple[str, int]]:
    """Return the ids, and when they were asked for in microseconds."""
    query = select(_of.request_id, _of.asked).where(_of.asked >= round(since * _MICRO))
    return [(row.request_id, row.asked) for row in connection.execute(query)]
