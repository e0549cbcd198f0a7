"""When keys were last used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, func, literal, select, union_all

from ..engine.ids import time_of
from ..engine.schema import requests
from .spent import name_of

# Names in a statement: SQLite takes 500 selects in one (sqlite.org/limits.html).
_AT_ONCE: Final = 500


def last_used(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Return the times (µs) of the newest requests on record; of no request, there is none."""
    found: dict[str, int] = {}
    for start in range(0, len(names), _AT_ONCE):
        # One look into the index for each: the newest of a group would mean to read all of it.
        each = [
            select(
                literal(name).label("name"),
                select(func.max(requests.c.id))
                .where(requests.c.token == name_of(name))
                .scalar_subquery()
                .label("newest"),
            )
            for name in names[start : start + _AT_ONCE]
        ]
        rows = connection.execute(union_all(*each) if len(each) > 1 else each[0])
        found |= {name: time_of(newest) for name, newest in rows if newest is not None}
    return found
