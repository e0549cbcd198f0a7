"""What users have used, from the requests themselves: roll-ups do not tell users apart.

Callers make up users, so roll-ups by user would be as many as requests. The index of users has all
that is added up, in the order of users: of a million requests it takes a tenth of a second to find
those who used most, and a third of that to add up the rest of what they used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, select

from ...core.records.periods import MINUTE
from ...errors import InvalidRequest
from ..engine.ids import first_id
from ..engine.schema import requests
from ..rollups.spans import SECOND, spans
from . import conditions, rollup_sums
from .agent_sessions import sums
from .conditions import id_range, unindexed
from .filters import LATEST, Filter
from .usage import UsageReport

# Sums are kept by user for as many requests as a page can read in time.
MOST_REQUESTS: Final = 2_000_000
MAX_LIMIT: Final = 1000
USER: Final = "user"
_NAMES: Final = ("requests", "errors", "input_tokens", "output_tokens", "cached_tokens",
                 "cost_nano_usd", "cost_unknown")  # fmt: skip
_of: Final = requests.c
_id: Final = requests.c.id


def by_user(
    connection: Connection,
    wanted: Filter,
    *,
    order: str = "cost_nano_usd",
    limit: int = 100,
    users: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return what each user has used, those with most of `order` first; or those `users`.

    The sums have the names that `usage` gives them. Raises InvalidRequest for a time with more than
    `MOST_REQUESTS`.
    """
    dialect = connection.dialect.name
    low, high = id_range(wanted)
    _check_bounded(connection, wanted)
    columns = sums()
    column: ColumnElement[Any] = columns[_NAMES.index(order)]
    filtered = bool(conditions.parts(wanted, dialect))
    if not users and not filtered:
        users = _who_used_most(connection, column, low, high, limit)
        if not users:
            return []
    # Some users are found by their index. Where all are added up that pass a filter, it is the
    # filter's that is gone by: the rows in the order of users would be read one by one.
    parts = conditions.parts(wanted, dialect, indexed=not users)
    where = [*parts.values(), _id >= low, _id < high]
    if users:
        where.append(_of.user.in_(users))
    else:
        where.append(unindexed(_of.user, dialect).is_not(None))
    query = (
        select(_of.user, *columns)
        .where(and_(*where))
        .group_by(_of.user)
        .order_by(column.desc(), _of.user)
        .limit(limit)
    )
    rows = []
    for name, *values in connection.execute(query):
        row = {"user": name, **dict(zip(_NAMES, values, strict=True))}
        if row["cost_unknown"] and not row["cost_nano_usd"]:
            row["cost_nano_usd"] = None
        rows.append(row)
    return rows


def report(connection: Connection, wanted: Filter, *, now: float | None = None) -> UsageReport:
    """Return the `MAX_LIMIT` costliest users, by default of the last 24 hours."""
    since, until = rollup_sums.whole_minutes(wanted, now)
    within = msgspec.structs.replace(wanted, since=since, until=until)
    return UsageReport(since=since, until=until, rows=by_user(connection, within, limit=MAX_LIMIT))


def in_time(
    connection: Connection, wanted: Filter, users: Sequence[str], step_us: int
) -> list[dict[str, Any]]:
    """Return the sums of some users by time, in steps of so many microseconds."""
    dialect = connection.dialect.name
    low, high = id_range(wanted)
    at = (_id // first_id(step_us)).label("at")
    query = (
        select(_of.user, at, *sums())
        .where(
            *conditions.parts(wanted, dialect, indexed=False).values(),
            _of.user.in_(users),
            _id >= low,
            _id < high,
        )
        .group_by(_of.user, at)
    )
    return [
        {"user": row[0], "time": row[1] * step_us, **dict(zip(_NAMES, row[2:], strict=True))}
        for row in connection.execute(query)
    ]


def _who_used_most(
    connection: Connection, column: ColumnElement[Any], low: int, high: int, limit: int
) -> list[str]:
    """Return the users with most of a column. It is the only one that is added up for all."""
    # By the index of users: SQLite would go through the rows by their key, and sort them by user.
    key = unindexed(_id, connection.dialect.name)
    query = (
        select(_of.user)
        .where(_of.user.is_not(None), key >= low, key < high)
        .group_by(_of.user)
        .order_by(column.desc(), _of.user)
        .limit(limit)
    )
    return [*connection.execute(query).scalars()]


def _check_bounded(connection: Connection, wanted: Filter) -> None:
    """Raise InvalidRequest if there are too many requests; roll-ups know how many at once."""
    since, until = wanted.since or 0, LATEST if wanted.until is None else wanted.until
    minute = SECOND * MINUTE
    parts = spans(since // minute * minute, -(-until // minute) * minute)
    every = rollup_sums.Chosen()
    parts = rollup_sums.condensed(connection, parts, every)
    counted = rollup_sums.read(connection, parts, every, (), ("requests",))
    if sum(each for (each,) in counted.values()) > MOST_REQUESTS:
        raise InvalidRequest(
            f"There are more than {MOST_REQUESTS:,} requests to add up by user: choose a shorter"
            " time.",
            param="group_by",
        )
