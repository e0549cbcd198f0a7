"""What tells whether condensed sums agree with the roll-ups that they were made of.

Each request that is added to a roll-up, or leaves with one, changes how many there are; costs that
are computed again change the money. To add up these three takes a twentieth of the time of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, Table, cast, func, select
from sqlalchemy.sql.expression import literal_column

from ..engine.condensed_table import WHOLE, condensed_rollups
from ..engine.schema import rollups

# By start (µs): requests, what they cost, and of how many that is not known.
Stamps = dict[int, tuple[int, ...]]


class RollupPart(NamedTuple):
    """Which roll-ups are compared: those with some values of one dimension, by default all."""

    dimension: str = WHOLE
    values: Sequence[str] = ()


ALL = RollupPart()


def of_rollups(
    connection: Connection, period: int, since: int, until: int, part: RollupPart = ALL
) -> Stamps:
    """Return the stamps of the roll-ups of a period that start in a time."""
    where = [rollups.c[part.dimension].in_(part.values)] if part.values else []
    return _stamps(connection, rollups, period, since, until, where)


def of_condensed(
    connection: Connection, period: int, since: int, until: int, part: RollupPart = ALL
) -> Stamps:
    """Return the stamps of what was made of them."""
    of = condensed_rollups.c
    where: list[ColumnElement[bool]] = [of.dimension == literal_column(f"'{part.dimension}'")]
    if part.values:
        where.append(of.value.in_(part.values))
    return _stamps(connection, condensed_rollups, period, since, until, where)


def _stamps(
    connection: Connection,
    table: Table,
    period: int,
    since: int,
    until: int,
    where: Sequence[ColumnElement[bool]],
) -> Stamps:
    of = table.c
    sums = (of.requests, of.cost_nano_usd, of.cost_unknown)
    query = (
        select(of.start, *(cast(func.sum(each), BigInteger) for each in sums))
        .where(*_within(table, period, since, until), *where)
        .group_by(of.start)
    )
    rows = connection.execute(query).all()
    return {start: (count, cost, unknown) for start, count, cost, unknown in rows}


def _within(table: Table, period: int, since: int, until: int) -> tuple[Any, ...]:
    # The period is in the statement's text: there are few, and their plans differ.
    return (
        table.c.period == literal_column(str(period)),
        table.c.start >= since,
        table.c.start < until,
    )
