"""Which hours and days are to be condensed, and how that is done."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
)

from ...core.records.periods import DAY, HOUR
from ..engine.condensed_table import ALONE, WHOLE, condensed_rollups
from ..engine.schema import rollups
from . import stamps

SECOND: Final = 1_000_000
# Seconds after its end at which nearly all of a period has been written. What comes later makes
# its sums differ, and they are made again.
SETTLED: Final = 120
# Hours are shown for a week, and at the edges of longer times.
HOURS_DAYS: Final = 32
_KEYS: Final = ("period", "dimension", "start", "value")
_SUMS: Final = tuple(each.name for each in condensed_rollups.columns if each.name not in _KEYS)
_COLUMNS: Final = (*_KEYS, *_SUMS)
Row = dict[str, Any]


class RollupStart(NamedTuple):
    """The roll-ups of `period` seconds that start at `start` (µs); their sums are `kept` or not."""

    period: int
    start: int
    kept: bool = True


def due(connection: Connection, since: int, now: int) -> list[RollupStart]:
    """Return what does not agree with its roll-ups, the newest first; times are microseconds.

    Days from `since` on, and hours, of which none is kept that is older than `HOURS_DAYS`.
    """
    found = []
    for period in (HOUR, DAY):
        width = period * SECOND
        first = max(since, now - HOURS_DAYS * DAY * SECOND) if period == HOUR else since
        last = (now - SETTLED * SECOND) // width * width
        known = stamps.of_condensed(connection, period, since, last)
        wanted = stamps.of_rollups(connection, period, first, last)
        found += [
            RollupStart(period, start, start >= first)
            for start in {*known, *wanted}
            if known.get(start) != wanted.get(start)
        ]
    return sorted(found, key=lambda each: (-each.start, each.period))


def made(connection: Connection, which: RollupStart) -> list[Row]:
    """Return the sums of one hour or day, as rows of the table."""
    times = {"period": which.period, "start": which.start}
    found: list[Row] = []
    for dimension in (*ALONE, WHOLE) if which.kept else ():
        key = which.period, dimension, which.start
        found += [
            dict(zip(_COLUMNS, (*key, *row), strict=True))
            for row in connection.execute(_sums_by(dimension), times)
        ]
    return found


@cache
def _sums_by(dimension: str) -> Select[Any]:
    """Return the query of the sums; to put its fifty sums together takes longer than to run it."""
    of = rollups.c
    value = of[dimension] if dimension else literal(WHOLE)
    return (
        select(value, *(cast(func.sum(of[name]), BigInteger) for name in _SUMS))
        .where(of.period == bindparam("period"), of.start == bindparam("start"))
        # Without a group there would be a row of NULLs where nothing is.
        .group_by(value if dimension else of.start)
    )


def put(connection: Connection, which: RollupStart, rows: list[Row]) -> None:
    """Write the sums in place of those that there are, in a transaction that writes.

    Whatever was added to the roll-ups meanwhile makes the two differ: the next look finds that.
    """
    of = condensed_rollups.c
    same = (of.period == which.period, of.start == which.start)
    connection.execute(delete(condensed_rollups).where(*same))
    if rows:
        connection.execute(insert(condensed_rollups), rows)
