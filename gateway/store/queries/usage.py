"""What was used and what it cost, from the roll-ups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection, Table

from ...core.records.periods import BY_NAME, DAY
from ...errors import InvalidRequest
from ..engine.schema import rollups, team_rollups
from ..rollups.spans import SECOND, RollupSpan, spans
from . import rollup_sums
from .filters import Filter
from .rollup_sums import CHOICES, COUNTS, GROUPS, TEAM, Sums

Bucket = Literal["none", "minute", "hour", "day"]
BUCKETS: Final[dict[str, int]] = {"none": 0, **BY_NAME}
# An export serves more: here all of it is held in memory, and too long to be looked at.
MAX_TIMES: Final = 3000
MAX_ROWS: Final = 50_000


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """Sums for each group, the costliest first within its time.

    `since` and `until` (microseconds) are what was asked for to whole minutes outwards. A row has
    `time` (microseconds, the start of its bucket) if there are buckets, a value for each of what
    was grouped by, which is "" for requests that had none, and the sums of `COUNTS`, of which
    `errors` are requests that failed. `cost_nano_usd` is the sum of the costs that are known, None
    if none is, and `cost_unknown` says how many requests were answered at a cost that is not.
    """

    since: int
    until: int
    rows: list[dict[str, Any]]


class CostReport(msgspec.Struct, frozen=True, kw_only=True):
    """What each group cost in all, costliest first.

    `share` is its part of the known costs of all, up to 1; None where its own is not known.
    """

    since: int
    until: int
    cost_nano_usd: int | None
    cost_unknown: int
    rows: list[dict[str, Any]]


def usage(
    connection: Connection,
    wanted: Filter,
    *,
    group_by: Sequence[str] = (),
    bucket: Bucket = "none",
    now: float | None = None,
    counts: Sequence[str] = COUNTS,
) -> UsageReport:
    """Add up `counts` of what was used, by default in the last 24 hours.

    Raises InvalidRequest for a filter or a group that roll-ups do not tell apart, and for more
    than `MAX_TIMES` times or `MAX_ROWS` rows.
    """
    for name in group_by:
        if name not in GROUPS:
            raise InvalidRequest(
                f"group_by must be of {CHOICES}; {name!r} is not.", param="group_by"
            )
    if bucket not in BUCKETS:
        raise InvalidRequest(f"bucket must be one of {', '.join(BUCKETS)}.", param="bucket")
    since, until = rollup_sums.whole_minutes(wanted, now)
    width = BUCKETS[bucket]
    if width and (until - since) / (width * SECOND) > MAX_TIMES:
        raise InvalidRequest(
            f"That would be more than {MAX_TIMES} times: choose a longer bucket or less time.",
            param="bucket",
        )
    # In their own order, which is the key's: that saves sorting.
    by = [name for name in GROUPS if name in group_by]
    parts = spans(since, until, width or DAY)
    found = _sums(connection, wanted, parts, by, width, counts)
    rows = []
    for key, sums in found.items():
        row = {"time": key[0]} if width else {}
        rows.append({**row, **dict(zip(by, key[1:], strict=True)),
                     **rollup_sums.counts_of(sums, counts)})  # fmt: skip
    rows.sort(
        key=lambda row: (
            row.get("time", 0),
            -(row.get("cost_nano_usd") or 0),
            -row.get("requests", 0),
        )
    )
    return UsageReport(since=since, until=until, rows=rows)


def costs(
    connection: Connection,
    wanted: Filter,
    *,
    group_by: Sequence[str] = ("model",),
    now: float | None = None,
) -> CostReport:
    """Return what each group cost and its share; raises InvalidRequest as `usage` does."""
    used = usage(connection, wanted, group_by=group_by, now=now)
    total = sum(row["cost_nano_usd"] or 0 for row in used.rows)
    unknown = sum(row["cost_unknown"] for row in used.rows)
    return CostReport(
        since=used.since,
        until=used.until,
        cost_nano_usd=None if unknown and not total else total,
        cost_unknown=unknown,
        rows=[{**row, "share": _share(row["cost_nano_usd"], total)} for row in used.rows],
    )


def _sums(
    connection: Connection,
    wanted: Filter,
    parts: Sequence[RollupSpan],
    by: Sequence[str],
    width: int,
    counts: Sequence[str],
) -> Sums:
    """Return the sums by time and by `by`; of a team, what none has used is what is left of all."""

    about = rollup_sums.chosen(wanted)
    if about.alone(by) is not None:
        parts = rollup_sums.condensed(connection, parts, about, rollup_sums.table_of(wanted))

    def read(table: Table, names: Sequence[str]) -> Sums:
        return rollup_sums.read(
            connection, parts, about, names, counts, width, MAX_ROWS, table=table
        )

    if TEAM not in by:
        return read(rollup_sums.table_of(wanted), by)
    of_teams = read(team_rollups, by)
    if wanted.team:
        return of_teams
    others = [name for name in by if name != TEAM]
    return of_teams | rollup_sums.without_team(read(rollups, others), of_teams, 1 + by.index(TEAM))


def _share(cost: int | None, total: int) -> float | None:
    if cost is None:
        return None
    return cost / total if total else 0.0
