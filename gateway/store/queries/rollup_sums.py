"""Sums over the roll-ups of a span of time.

A span that begins and ends on a minute is summed exactly: by days inside of it, by hours and
minutes at its edges. Roll-ups by minute are kept only as long as the requests are. A span that
began before that lacks the minutes up to its first full hour.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from operator import add, sub
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Table

from ...core.records.periods import DAY, MINUTE
from ...errors import InvalidRequest
from ..engine.condensed_table import ALONE, WHOLE
from ..engine.schema import rollups, team_rollups
from ..rollups import statements
from ..rollups.agreement import stretches
from ..rollups.spans import SECOND, RollupSpan
from ..rollups.stamps import RollupPart
from ..rollups.statements import SumForm
from .conditions import status_is
from .filters import LATEST, Filter, Window

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


class Chosen(NamedTuple):
    """What is added up, but for the time: those of these values by dimension, all of the others."""

    values: Mapping[str, Sequence[str]] = {}
    status: Sequence[str] = ()

    def among(self, dimension: str, values: Sequence[str]) -> Chosen:
        """Return the same with only these values of a dimension."""
        return self._replace(values={**self.values, dimension: values})

    def alone(self, by: Sequence[str] = ()) -> str | None:
        """Return the only dimension that this and a grouping are about; None if there are more."""
        about = {*self.values, *by}
        if self.status or len(about) > 1 or not about <= {*ALONE}:
            return None
        return about.pop() if about else WHOLE


def counts_of(sums: Sequence[int], names: Sequence[str] = COUNTS) -> dict[str, int | None]:
    """Return the sums of `names` by name, which are the first of `sums`.

    `cost_nano_usd` is None where costs are unknown and none is known.
    """
    counts: dict[str, int | None] = dict(zip(names, sums, strict=False))
    if counts.get("cost_unknown") and not counts["cost_nano_usd"]:
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


def table_of(wanted: Filter) -> Table:
    """Return the roll-ups to add up: those by team if a team is asked for."""
    return team_rollups if wanted.team else rollups


def chosen(wanted: Filter) -> Chosen:
    """Return what a filter chooses, except for the time.

    Raises InvalidRequest for a field that is no dimension of roll-ups, and for a status `error`.
    """
    for name in wanted.__struct_fields__:
        other = name not in {*GROUPS, *Window.__struct_fields__}
        if other and getattr(wanted, name) not in {(), None, ""}:
            raise InvalidRequest(
                f"{name} is not counted by: only {CHOICES} can be chosen here.",
                param=name,
            )
    if wanted.status:
        status_is(rollups.c.status, wanted.status)
    values = {
        name: given for name in (TEAM, "model", "provider", "token")
        if (given := getattr(wanted, name))
    }  # fmt: skip
    return Chosen(values, wanted.status)


def condensed(
    connection: Connection, parts: Sequence[RollupSpan], about: Chosen, table: Table = rollups
) -> list[RollupSpan]:
    """Divide spans into those that can be read by one dimension and those that cannot.

    Worth it for whoever reads much of them: it is known by adding up a little of all.
    """
    alone = about.alone()
    if table is not rollups or alone is None:
        return [*parts]
    part = RollupPart(alone, tuple(about.values.get(alone, ())))
    return [
        RollupSpan(span.period, *each)
        for span in parts
        for each in (
            [(span.start, span.end, False)]
            if span.period == MINUTE
            else stretches(connection, span.period, span.start, span.end, part)
        )
    ]


def read(
    connection: Connection,
    parts: Sequence[RollupSpan],
    about: Chosen,
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
    # A span's groups are all in the answer, so more of them than `most` are too many.
    limit = most and most + 1
    for span in parts:
        form = _form(table, span, about, by)._replace(step=_bucket(span, step, by))
        query = statements.sums(form, tuple(sums), limit, status_is)
        keys = len(by) + (form.step is not None)
        given = statements.parameters(form, span, about.values)
        for row in connection.execute(query, given).all():
            time_us = span.start if form.step is None else row[0]
            values = row[keys:]
            if values[0] is None:
                # A query without groups has one row, even if nothing matches.
                continue
            key = (time_us // step * step if step else 0, *row[keys - len(by) : keys])
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
    about: Chosen,
    dimension: str,
    count: int,
    *,
    table: Table = rollups,
) -> list[Any]:
    """Return those values of the dimension that have most requests, most first."""
    forms = tuple(_form(table, span, about, (dimension,)) for span in parts)
    by_code = connection.dialect.name != "sqlite"
    query = statements.busiest(forms, dimension, by_code, status_is)
    given: dict[str, Any] = {"count": count}
    for number, (form, span) in enumerate(zip(forms, parts, strict=True)):
        given |= statements.parameters(form, span, about.values, number)
    return [*connection.execute(query, given).scalars()]


def _form(table: Table, span: RollupSpan, about: Chosen, by: Sequence[str]) -> SumForm:
    """Return where a span is read, and which of it."""
    alone = about.alone(by) if span.condensed else None
    known = (alone,) if alone is not None else table.c
    chosen = tuple(name for name in about.values if name in known)
    return SumForm(table, span.period, alone, tuple(by), chosen, tuple(about.status))


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


def _bucket(span: RollupSpan, step: int, by: Sequence[str]) -> int | None:
    """Return what the span is grouped by for times of `step` µs; None if it is within one."""
    if not step or span.start // step == (span.end - 1) // step:
        return None
    # Grouped by the key's own columns, rows are in order already. Otherwise SQLite sorts them,
    # which takes most of the time.
    return 0 if span.period * SECOND == step or not by else step
