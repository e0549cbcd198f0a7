"""Sums over the roll-ups of a span of time.

A span that begins and ends on a minute is summed exactly: by days inside of it, by hours and
minutes at its edges. Roll-ups by minute are kept only as long as the requests are. A span that
began before that lacks the minutes up to its first full hour.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import add, sub
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    and_,
    cast,
    func,
    select,
    union_all,
)
from sqlalchemy.sql.expression import literal_column

from ...core.records.periods import DAY, MINUTE
from ...errors import InvalidRequest
from ..engine.schema import PERIODS, rollups, team_rollups
from .conditions import status_is
from .filters import LATEST, Filter, Window

SECOND: Final = 1_000_000
DIMENSIONS: Final = ("model", "provider", "token", "status")
# In the order of the key that roll-ups by team have.
TEAM: Final = "team"
GROUPS: Final = (TEAM, *DIMENSIONS)
# As people are told of them.
CHOICES: Final = ", ".join((*DIMENSIONS, TEAM))
COUNTS: Final = (
    "requests",
    "errors",
    "cached",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cache_write_tokens",
    "cost_nano_usd",
    "cost_unknown",
    "reported_cost_nano_usd",
)

# By a time and the values of the dimensions grouped by: the sums, in the order asked for.
Sums = dict[tuple[Any, ...], list[int]]


class RollupSpan(NamedTuple):
    """Roll-ups of `period` seconds that start from `start` to before `end`, in microseconds."""

    period: int
    start: int
    end: int


def counts_of(sums: Sequence[int]) -> dict[str, int | None]:
    """Return the sums of `COUNTS` by name, which are the first of `sums`.

    `cost_nano_usd` is None where costs are unknown and none is known.
    """
    counts: dict[str, int | None] = dict(zip(COUNTS, sums, strict=False))
    if counts["cost_unknown"] and not counts["cost_nano_usd"]:
        counts["cost_nano_usd"] = None
    return counts


def whole_minutes(window: Window, now: float | None) -> tuple[int, int]:
    """Return the window (µs) to full minutes outwards; without `since`, it is 24 hours.

    Raises InvalidRequest for one that is empty.
    """
    minute = MINUTE * SECOND
    now_us = round((time.time() if now is None else now) * SECOND)
    until = now_us if window.until is None else window.until
    since = until - DAY * SECOND if window.since is None else window.since
    if since >= until:
        raise InvalidRequest("since must be earlier than until.", param="since")
    return max(0, since // minute * minute), min(-(-until // minute) * minute, LATEST)


def spans(since: int, until: int, coarsest: int = DAY) -> list[RollupSpan]:
    """Divide the time (µs, full minutes) into the fewest spans of roll-ups, in their order."""
    if since >= until:
        return []
    width = coarsest * SECOND
    first, last = -(-since // width) * width, until // width * width
    if coarsest == MINUTE:
        return [RollupSpan(MINUTE, since, until)]
    finer = PERIODS[PERIODS.index(coarsest) - 1]
    if first >= last:
        return spans(since, until, finer)
    return [
        *spans(since, first, finer),
        RollupSpan(coarsest, first, last),
        *spans(last, until, finer),
    ]


def table_of(wanted: Filter) -> Table:
    """Return the roll-ups to add up: those by team if a team is asked for."""
    return team_rollups if wanted.team else rollups


def conditions(wanted: Filter, table: Table = rollups) -> list[ColumnElement[bool]]:
    """Return the filter's conditions, except those on the time.

    Raises InvalidRequest for a field that is no dimension of roll-ups, and for a status `error`.
    """
    for name in wanted.__struct_fields__:
        other = name not in {*GROUPS, *Window.__struct_fields__}
        if other and getattr(wanted, name) not in {(), None, ""}:
            raise InvalidRequest(
                f"{name} is not counted by: only {CHOICES} can be chosen here.",
                param=name,
            )
    found: list[ColumnElement[bool]] = [
        table.c[name].in_(values)
        for name in (TEAM, "model", "provider", "token")
        if name in table.c and (values := getattr(wanted, name))
    ]
    return [*found, status_is(table.c.status, wanted.status)] if wanted.status else found


def read(
    connection: Connection,
    parts: Sequence[RollupSpan],
    where: Sequence[ColumnElement[bool]],
    by: Sequence[str],
    sums: Sequence[str],
    width: int = 0,
    most: int | None = None,
    *,
    table: Table = rollups,
) -> Sums:
    """Return the sums of roll-ups by time and by the values of `by`.

    Times are microseconds, by `width` seconds, which must be no finer than the spans; with a
    width of 0 all times are 0. Raises InvalidRequest for more than `most` of them.
    """
    found: Sums = {}
    step = width * SECOND
    totals = [_total(table.c[name]) for name in sums]
    dimensions = [table.c[name] for name in by]
    for span in parts:
        at = _bucket(table, span, step, by)
        keys = dimensions if at is None else [at, *dimensions]
        query = select(*keys, *totals).where(_within(table, span), *where).group_by(*keys)
        # A span's groups are all in the answer, so more of them than `most` are too many.
        for row in connection.execute(query.limit(most and most + 1)).all():
            time_us = span.start if at is None else row[0]
            values = row[len(keys) :]
            if values[0] is None:
                # A query without groups has one row, even if nothing matches.
                continue
            key = (time_us // step * step if step else 0, *row[len(keys) - len(by) : len(keys)])
            if known := found.get(key):
                found[key] = [*map(add, known, values)]
            else:
                found[key] = [*values]
        if most is not None and len(found) > most:
            raise InvalidRequest(
                f"That would be more than {most} rows: group by less or choose less time.",
                param="group_by",
            )
    return found


def busiest(
    connection: Connection,
    parts: Sequence[RollupSpan],
    where: Sequence[ColumnElement[bool]],
    dimension: str,
    count: int,
    *,
    table: Table = rollups,
) -> list[Any]:
    """Return those values of the dimension that have most requests, most first."""
    column, requests = table.c[dimension], _total(table.c.requests).label("requests")
    of_spans = union_all(
        *(
            select(column, requests).where(_within(table, span), *where).group_by(column)
            for span in parts
        )
    ).subquery()
    value: ColumnElement[Any] = of_spans.c[dimension]
    # Equal counts are ordered the same way on both engines.
    by_code = value if connection.dialect.name == "sqlite" else value.collate("C")
    query = (
        select(value)
        .group_by(value)
        .order_by(func.sum(of_spans.c.requests).desc(), by_code)
        .limit(count)
    )
    return [*connection.execute(query).scalars()]


def _within(table: Table, span: RollupSpan) -> ColumnElement[bool]:
    # The period is in the statement's text: there are only three, and their plans differ.
    of_period = table.c.period == literal_column(str(span.period))
    return and_(of_period, table.c.start >= span.start, table.c.start < span.end)


def without_team(all_of_them: Sums, of_teams: Sums, at: int) -> Sums:
    """Return the sums with "" as the team at that place of the key: what no team has used.

    `of_teams` have the place, `all_of_them` count the same requests without it.
    """
    left = {key: [*values] for key, values in all_of_them.items()}
    for key, values in of_teams.items():
        rest = left.get((*key[:at], *key[at + 1 :]))
        if rest is not None:
            rest[:] = map(sub, rest, values)
    return {(*key[:at], "", *key[at:]): values for key, values in left.items() if any(values)}


def _total(column: ColumnElement[Any]) -> ColumnElement[int]:
    # PostgreSQL makes a NUMERIC of such a sum, and the driver a Decimal of that.
    return cast(func.sum(column), BigInteger)


def _bucket(
    table: Table, span: RollupSpan, step: int, by: Sequence[str]
) -> ColumnElement[Any] | None:
    """Return what the span is grouped by for times of `step` µs; None if it is within one."""
    if not step or span.start // step == (span.end - 1) // step:
        return None
    # Grouped by the key's own columns, rows are in order already. Otherwise SQLite sorts them,
    # which takes most of the time.
    if span.period * SECOND == step or not by:
        return table.c.start
    return table.c.start // step * step
