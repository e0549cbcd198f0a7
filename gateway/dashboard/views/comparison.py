"""What was used, by group, beside the period before; and its course over time."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...store.queries import usage
from ...store.queries.filters import Filter
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
    found = usage.usage(connection, this, group_by=(group_by,), now=now).rows
    known = usage.usage(connection, earlier, group_by=(group_by,), now=now).rows
    column = "cost_nano_usd" if measure == "cost" else measure
    before = {row[group_by]: row for row in known}
    rows = sorted(found, key=lambda row: (-(row[column] or 0), -row["requests"]))
    total, sum_before = _sum(found), _sum(known)
    whole = total[column] or 0
    for row in rows[:MOST_ROWS]:
        row["name"] = str(row[group_by])
        row["share"] = (row[column] or 0) / whole if whole else 0.0
        row["change"] = _change(row[column], before.get(row[group_by], {}).get(column))
    total["change"] = _change(total[column], sum_before[column])
    names = [row["name"] for row in rows[:SHOWN]]
    return Comparison(
        total=total,
        before=sum_before,
        rows=rows[:MOST_ROWS],
        left_out=max(0, len(rows) - MOST_ROWS),
        names=names,
        columns=_course(connection, this, period, group_by, column, names, now),
    )


def _course(
    connection: Any,
    wanted: Filter,
    period: UsagePeriod,
    group_by: str,
    column: str,
    names: list[str],
    now: float,
) -> dict[str, list[float]]:
    """Return the largest groups over time as `s0`, `s1`..., and all others together."""
    times = list(range(period.since, period.until, period.step * SECOND))
    at = {time: number for number, time in enumerate(times)}
    whole = [0.0] * len(times)
    for row in usage.usage(connection, wanted, bucket=period.bucket, now=now).rows:
        if row["time"] in at:
            whole[at[row["time"]]] += row[column] or 0
    lines = [[0.0] * len(times) for _ in names]
    # A name that is no name ("" for none) cannot be asked for alone: it is among the others.
    asked = tuple(name for name in names if name)
    if asked:
        of = msgspec.structs.replace(wanted, **{group_by: asked})
        rows = usage.usage(connection, of, group_by=(group_by,), bucket=period.bucket, now=now).rows
        for row in rows:
            name = str(row[group_by])
            if name in names and row["time"] in at:
                lines[names.index(name)][at[row["time"]]] += row[column] or 0
    others = [max(0.0, all_ - sum(parts)) for all_, *parts in zip(whole, *lines, strict=True)]
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
