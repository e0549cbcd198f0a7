"""What can be exported, and its columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Boolean, ColumnElement, Connection, Select, Table, Text, and_, select
from sqlalchemy.schema import Column as TableColumn

from ...core.records.histogram import quantile
from ...core.records.periods import HOUR
from ...errors import InvalidRequest
from ..engine.schema import FIRST_EVENT, LATENCY, attempts, audit, requests, rollups, team_rollups
from ..queries.conditions import contains, id_range, parts, status_is
from ..queries.filters import AUDIT_SEARCHED, LATEST, AuditFilter, Filter, Window
from .columns import Column, ColumnKind, Columns, ColumnSpec
from .pager import RowSource

_HOUR_US: Final = HOUR * 1_000_000
_ENCODER: Final = msgspec.json.Encoder()


def _field(column: TableColumn[Any]) -> ColumnSpec:
    kind = ColumnKind.INTEGER
    if column is requests.c.id:
        kind = ColumnKind.ID
    elif column.name in {"time", "start"}:
        kind = ColumnKind.TIME
    elif column.name in {"metadata", "details", "skipped", "labels", "dropped"}:
        kind = ColumnKind.JSON
    elif isinstance(column.type, Text):
        kind = ColumnKind.TEXT
    elif isinstance(column.type, Boolean):
        kind = ColumnKind.FLAG
    return ColumnSpec(column.name, kind)


def _during(time: ColumnElement[int], window: Window) -> ColumnElement[bool]:
    until = LATEST if window.until is None else window.until
    return and_(time >= (window.since or 0), time < until)


# The request log...

_REQUEST: Final = tuple(column.name for column in requests.columns)
_ID, _ATTEMPTS, _COST = map(_REQUEST.index, ("id", "attempts", "cost_nano_usd"))
_ATTEMPT: Final = tuple(column.name for column in attempts.columns)[1:]


class RequestSource(RowSource):
    """Requests; `attempts_detail` has what is known of each attempt, as JSON."""

    fields = (
        *map(_field, requests.columns),
        ColumnSpec("cost_usd", ColumnKind.USD),
        ColumnSpec("attempts_detail", ColumnKind.JSON),
    )
    key = (requests.c.id,)
    stretch = _HOUR_US << 10

    def __init__(self, wanted: Filter) -> None:
        self._wanted = wanted

    def within(self) -> ColumnElement[bool]:
        low, high = id_range(self._wanted)
        return and_(requests.c.id >= low, requests.c.id < high)

    def conditions(self, dialect: str) -> Sequence[ColumnElement[bool]]:
        return [*parts(self._wanted, dialect).values()]

    def selected(self) -> Select[Any]:
        return select(*requests.columns)

    def columns(self, connection: Connection, read: Columns) -> list[Column]:
        return [*read, read[_COST], _details(connection, read[_ID], read[_ATTEMPTS])]


def _details(connection: Connection, ids: Column, counts: Column) -> Column:
    tried = [row_id for row_id, count in zip(ids, counts, strict=True) if count]
    found: dict[int, str] = {}
    if tried:
        query = select(*attempts.columns).where(attempts.c.request.in_(tried))
        rows = connection.execute(query.order_by(attempts.c.request, attempts.c.number))
        for row_id, group in groupby(rows, itemgetter(0)):
            each = [dict(zip(_ATTEMPT, row[1:], strict=True)) for row in group]
            found[row_id] = _ENCODER.encode(each).decode()
    return [found.get(row_id, "[]") for row_id in ids]


# The audit log...


class AuditSource(RowSource):
    """Audit events, hashes included, so that the chain can be checked from an export."""

    fields = tuple(map(_field, audit.columns))
    key = (audit.c.id,)
    stretch = 10_000

    def __init__(self, wanted: AuditFilter) -> None:
        self._wanted = wanted

    def within(self) -> ColumnElement[bool]:
        return _during(audit.c.time, self._wanted)

    def conditions(self, dialect: str) -> Sequence[ColumnElement[bool]]:
        wanted = self._wanted
        # Times are not in the order of keys where a clock was set back.
        found = [self.within()]
        found += [
            audit.c[name].in_(values)
            for name in ("action", "actor", "result")
            if (values := getattr(wanted, name))
        ]
        if wanted.text:
            searched = [audit.c[name] for name in AUDIT_SEARCHED]
            found.append(contains(searched, wanted.text, dialect))
        return found

    def selected(self) -> Select[Any]:
        return select(*audit.columns)

    def columns(self, connection: Connection, read: Columns) -> list[Column]:
        return [*read]


# Roll-ups...

_USAGE_FILTERS: Final = ("model", "provider", "token", "team", "status")
_HISTOGRAMS: Final = (("latency", LATENCY), ("first_event", FIRST_EVENT))
# In the table's order, in which the key's columns are the first.
_USAGE: Final = tuple(
    column
    for column in rollups.columns
    if column.name != "period" and column.name not in {*LATENCY, *FIRST_EVENT}
)
_QUANTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
_USAGE_COST, _USAGE_UNKNOWN = (
    [column.name for column in _USAGE].index(name) for name in ("cost_nano_usd", "cost_unknown")
)


def _key_of(table: Table) -> tuple[TableColumn[Any], ...]:
    return tuple(each for each in table.primary_key.columns if each.name != "period")


class UsageSource(RowSource):
    """The roll-ups of one period: sums, and of durations also quantiles and counts by bucket.

    The quantiles of several rows together come from the sum of their counts (see
    `core/records/histogram.py`). Of chosen teams, and `by_team`, it is the roll-ups by team, with a
    column for it: those have nothing of requests whose key has no team.
    """

    fields = (
        *map(_field, _USAGE),
        ColumnSpec("cost_usd", ColumnKind.USD),
        *(
            ColumnSpec(f"{name}_{label}_us", ColumnKind.INTEGER)
            for name, _ in _HISTOGRAMS
            for label, _ in _QUANTILES
        ),
        *(ColumnSpec(f"{name}_counts", ColumnKind.COUNTS) for name, _ in _HISTOGRAMS),
    )
    key = _key_of(rollups)
    stretch = _HOUR_US * 24

    def __init__(self, wanted: Filter, period: int, *, by_team: bool = False) -> None:
        """Take a period of `PERIODS`; raises InvalidRequest for a filter that roll-ups lack."""
        self._wanted = wanted
        self._period = period
        for field in msgspec.structs.fields(wanted):
            told_apart = field.name in {*_USAGE_FILTERS, "since", "until", "written"}
            if not told_apart and getattr(wanted, field.name) != field.default:
                raise InvalidRequest(
                    f"Usage cannot be filtered by {field.name}: it is kept by"
                    f" {', '.join(_USAGE_FILTERS)} only.",
                    param=field.name,
                )
        self._by_team = by_team or bool(wanted.team)
        self._table = table = team_rollups if self._by_team else rollups
        self.key = _key_of(table)
        if self._by_team:
            self.fields = (*UsageSource.fields, _field(table.c.team))
        self._chosen = [table.c.period == period]
        self._chosen += [
            table.c[name].in_(values)
            for name in ("team", "model", "provider", "token")
            if (values := getattr(wanted, name))
        ]
        if wanted.status:
            self._chosen.append(status_is(table.c.status, wanted.status))

    def within(self) -> ColumnElement[bool]:
        # A period that began before `since` contains requests from after it.
        since = (self._wanted.since or 0) - self._period * 1_000_000
        until = LATEST if self._wanted.until is None else self._wanted.until
        start = self._table.c.start
        return and_(self._table.c.period == self._period, start > since, start < until)

    def conditions(self, dialect: str) -> Sequence[ColumnElement[bool]]:
        return self._chosen

    def selected(self) -> Select[Any]:
        # The pager wants the key first; what is not in the file is taken off in `columns`.
        of, key = self._table.c, {each.name for each in self.key}
        rest = [of[each.name] for each in _USAGE if each.name not in key]
        return select(*self.key, *rest, *(of[name] for name in (*LATENCY, *FIRST_EVENT)))

    def columns(self, connection: Connection, read: Columns) -> list[Column]:
        teams: list[Column] = []
        if self._by_team:
            read = [*read]
            teams.append(read.pop(1))
        columns = [
            # The table has "" for what a request did not have.
            [cell or None for cell in column] if isinstance(table.type, Text) else column
            for table, column in zip(_USAGE, read, strict=False)
        ]
        # Nothing is known where every cost is unknown: that is not a cost of 0.
        columns[_USAGE_COST] = [
            None if unknown and not cost else cost
            for cost, unknown in zip(columns[_USAGE_COST], columns[_USAGE_UNKNOWN], strict=True)
        ]
        columns.append(columns[_USAGE_COST])
        first, second = len(_USAGE), len(_USAGE) + len(LATENCY)
        counts = [
            [*zip(*read[first:second], strict=True)],
            [*zip(*read[second:], strict=True)],
        ]
        for histogram in counts:
            for _, q in _QUANTILES:
                columns.append([_whole(quantile(each, q)) for each in histogram])
        return [*columns, *counts, *teams]


def _whole(microseconds: float | None) -> int | None:
    return None if microseconds is None else round(microseconds)
