"""What was used, by group, beside the period before; and its course over time."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...errors import InvalidRequest
from ...store.queries import usage
from ...store.queries.filters import Filter
from ...store.queries.rollup_sums import TEAM
from ...store.queries.user_usage import USER, by_user, in_time
from .periods import SECOND, UsagePeriod

MEASURES: Final = {
    "cost": ("Cost", "money"),
    "requests": ("Requests", "count"),
    "input_tokens": ("Tokens in", "count"),
    "output_tokens": ("Tokens out", "count"),
}
# Lines of the chart besides all others: as many as the palette has colours for.
SHOWN: Final = 5
MOST_ROWS: Final = 100

Row = dict[str, Any]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """`rows` are the largest groups, `left_out` how many there are besides.

    `change` of a row, and of the total, is against the period before; None if there was nothing.
    """

    total: Row
    before: Row
    rows: list[Row]
    left_out: int
    names: list[str]
    columns: dict[str, list[float]]


def compare(
    connection: Any, wanted: Filter, period: UsagePeriod, group_by: str, measure: str, now: float
) -> Comparison:
    """Read all of it in one transaction. Raises InvalidRequest as `usage` does."""
    this = msgspec.structs.replace(wanted, since=period.since, until=period.until)
    earlier = msgspec.structs.replace(wanted, since=period.before_since, until=period.before_until)
    column = "cost_nano_usd" if measure == "cost" else measure
    if group_by == USER:
        return _compare_users(connection, this, earlier, period, column, now)
    cells = _cells(connection, this, period, group_by, now)
    if cells is None:
        found = usage.usage(connection, this, group_by=(group_by,), now=now).rows
    else:
        found = _by_group(cells, group_by)
    known = usage.usage(connection, earlier, group_by=(group_by,), now=now).rows
    rows = _ordered(found, {row[group_by]: row for row in known}, group_by, column)
    names = [row["name"] for row in rows[:SHOWN]]
    if cells is None:
        columns = _course(connection, this, period, group_by, column, names, now)
    else:
        columns = _lines(cells, cells, period, group_by, column, names)
    return _made(_sum(found), _sum(known), rows, names, columns, column)


def _compare_users(
    connection: Any,
    this: Filter,
    earlier: Filter,
    period: UsagePeriod,
    column: str,
    now: float,
) -> Comparison:
    """Compare those users that have used most; in all are also the requests of none."""
    whole = usage.usage(connection, this, bucket=period.bucket, now=now).rows
    found = by_user(connection, this, order=column, limit=MOST_ROWS)
    names = [row[USER] for row in found[:SHOWN]]
    before = by_user(
        connection, earlier, order=column, limit=MOST_ROWS, users=[row[USER] for row in found]
    )
    known = usage.usage(connection, earlier, now=now).rows
    rows = _ordered(found, {row[USER]: row for row in before}, USER, column)
    of_users = in_time(connection, this, names, period.step * SECOND) if names else []
    columns = _lines(whole, of_users, period, USER, column, names)
    return _made(_sum(whole), _sum(known), rows, names, columns, column)


def _made(
    total: Row,
    before: Row,
    rows: list[Row],
    names: list[str],
    columns: dict[str, list[float]],
    column: str,
) -> Comparison:
    whole = total[column] or 0
    for row in rows[:MOST_ROWS]:
        row["share"] = (row[column] or 0) / whole if whole else 0.0
    total["change"] = _change(total[column], before[column])
    return Comparison(
        total=total,
        before=before,
        rows=rows[:MOST_ROWS],
        left_out=max(0, len(rows) - MOST_ROWS),
        names=names,
        columns=columns,
    )


def _ordered(found: list[Row], before: dict[Any, Row], group_by: str, column: str) -> list[Row]:
    """Return the groups with most first, each with its name and how it has changed."""
    rows = sorted(found, key=lambda row: (-(row[column] or 0), -row["requests"]))
    for row in rows[:MOST_ROWS]:
        row["name"] = str(row[group_by])
        row["change"] = _change(row[column], before.get(row[group_by], {}).get(column))
    return rows


def _cells(
    connection: Any, wanted: Filter, period: UsagePeriod, group_by: str, now: float
) -> list[Row] | None:
    """Return the sums by group and time: all that is shown of the period, read once.

    None if there are too many of them, as of keys: then it is quicker to read it group by group,
    and the course of few.
    """
    if group_by == "token":
        return None
    try:
        return usage.usage(
            connection, wanted, group_by=(group_by,), bucket=period.bucket, now=now
        ).rows
    except InvalidRequest as exc:
        if exc.param == "group_by":
            return None
        raise


def _by_group(cells: list[Row], group_by: str) -> list[Row]:
    """Add up the times of each group."""
    found: dict[Any, Row] = {}
    for cell in cells:
        known = found.get(cell[group_by])
        if known is None:
            found[cell[group_by]] = {name: each for name, each in cell.items() if name != "time"}
            continue
        for name, value in cell.items():
            if name in ("time", group_by) or value is None:
                continue
            known[name] = (known[name] or 0) + value
    return [*found.values()]


def _course(
    connection: Any,
    wanted: Filter,
    period: UsagePeriod,
    group_by: str,
    column: str,
    names: list[str],
    now: float,
) -> dict[str, list[float]]:
    """Return the largest groups over time: of those alone, all at all times would be thousands."""

    def read(wanted: Filter, group_by: tuple[str, ...]) -> list[Row]:
        return usage.usage(
            connection,
            wanted,
            group_by=group_by,
            bucket=period.bucket,
            now=now,
            counts=(column,),
        ).rows

    # Roll-ups by team have no row of those that have no team: they are what is left of all teams.
    of = wanted if group_by == TEAM else msgspec.structs.replace(wanted, **{group_by: tuple(names)})
    rows = read(of, (group_by,)) if names else []
    return _lines(read(wanted, ()), rows, period, group_by, column, names)


def _lines(
    whole: list[Row],
    cells: list[Row],
    period: UsagePeriod,
    group_by: str,
    column: str,
    names: list[str],
) -> dict[str, list[float]]:
    """Return the groups of those names over time as `s0`, `s1`..., and all others together."""
    times = list(range(period.since, period.until, period.step * SECOND))
    at = {time: number for number, time in enumerate(times)}
    all_of_them = [0.0] * len(times)
    for row in whole:
        if row["time"] in at:
            all_of_them[at[row["time"]]] += row[column] or 0
    lines = [[0.0] * len(times) for _ in names]
    place = {name: number for number, name in enumerate(names)}
    for row in cells:
        name = str(row[group_by])
        if name in place and row["time"] in at:
            lines[place[name]][at[row["time"]]] += row[column] or 0
    others = [max(0.0, each - sum(parts)) for each, *parts in zip(all_of_them, *lines, strict=True)]
    scale = 1e9 if column == "cost_nano_usd" else 1
    found = {f"s{number}": line for number, line in enumerate([*lines, others])}
    return {
        "time": [time / SECOND for time in times],
        **{name: [float(f"{each / scale:.6g}") for each in line] for name, line in found.items()},
    }


def _sum(rows: list[Row]) -> Row:
    names = [name for name, value in (rows[0] if rows else {}).items() if isinstance(value, int)]
    names = sorted({*names, "requests", "errors", "cached", "input_tokens", "output_tokens",
                    "cached_tokens", "cost_nano_usd", "cost_unknown"})  # fmt: skip
    return {name: sum(row.get(name) or 0 for row in rows) for name in names}


def _change(now: int | None, before: int | None) -> float | None:
    return (now or 0) / before - 1 if before else None
