"""Figures for a dashboard: all in all, by model, provider and token, over time; and health."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, case, func, select

from ...core.records.histogram import BOUNDS, BUCKETS, quantile
from ...core.records.periods import DAY, HOUR, MINUTE
from ...errors import InvalidRequest
from ..engine.ids import first_id
from ..engine.schema import FIRST_EVENT, LATENCY, attempts, team_rollups
from ..rollups.spans import SECOND, RollupSpan, spans
from . import rollup_sums
from .filters import Filter
from .rollup_sums import COUNTS

_SUMS: Final = (*COUNTS, *LATENCY, *FIRST_EVENT)
_NOTHING: Final = [0] * len(_SUMS)
# Up to how many seconds of time, how many seconds are between two points: 300 points at most. Finer
# points than hours are for short times, since roll-ups by minute are hardly fewer than requests.
_WIDTHS: Final = ((5 * HOUR, MINUTE), (12 * HOUR, 5 * MINUTE), (8 * DAY, HOUR), (300 * DAY, DAY))
_WEEK: Final = 7 * DAY
# Attempts are read one by one.
MAX_HEALTH_MINUTES: Final = 360


class Quantiles(msgspec.Struct, frozen=True):
    """Microseconds that half of all, 95 % and 99 % stayed within; None if there were none."""

    p50: float | None
    p95: float | None
    p99: float | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a group of requests came to; `errors` are those that failed.

    `cost_nano_usd` is the sum of the known costs, None if none is known; `cost_unknown` says how
    many requests were answered at a cost that is not.
    """

    requests: int
    errors: int
    error_rate: float
    cached: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cache_write_tokens: int
    cost_nano_usd: int | None
    cost_unknown: int
    reported_cost_nano_usd: int
    latency_us: Quantiles
    first_event_us: Quantiles


class GroupFigures(msgspec.Struct, frozen=True):
    """`name` is "" for requests that had no such thing."""

    name: str
    figures: Figures


class TimePoint(msgspec.Struct, frozen=True):
    """`time` is the beginning in microseconds; where nothing happened there is no point."""

    time: int
    figures: Figures


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`width` is how many seconds are from one point of the series to the next.

    The groups are those with most requests, most first; among `teams` is none for requests of
    no team.
    """

    since: int
    until: int
    total: Figures
    models: list[GroupFigures]
    providers: list[GroupFigures]
    tokens: list[GroupFigures]
    teams: list[GroupFigures]
    width: int
    series: list[TimePoint]


class DeploymentHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the attempts on one deployment went; quantiles are of those that succeeded."""

    provider: str
    model: str
    attempts: int
    failures: int
    causes: dict[str, int]
    duration_us: Quantiles
    first_event_us: Quantiles


def summary(
    connection: Connection, wanted: Filter, *, top: int = 10, now: float | None = None
) -> Summary:
    """Sum up what the filter chooses, by default of the last 24 hours.

    Raises InvalidRequest for a filter that roll-ups do not tell apart.
    """
    table = rollup_sums.table_of(wanted)
    about = rollup_sums.chosen(wanted)
    since, until = rollup_sums.whole_minutes(wanted, now)
    width = _width(since, until)
    coarsest = max(each for each in (MINUTE, HOUR, DAY) if each <= width)

    def condensed(spans: list[RollupSpan]) -> list[RollupSpan]:
        return rollup_sums.condensed(connection, spans, about, table)

    of_groups, of_points = spans(since, until), spans(since, until, coarsest)
    parts = condensed(of_groups)
    finer = parts if of_groups == of_points else condensed(of_points)
    points = rollup_sums.read(connection, finer, about, (), _SUMS, width, table=table)
    # Minutes are the first to be deleted: points may be gone that the groups still count.
    whole = points
    if coarsest == MINUTE:
        whole = rollup_sums.read(connection, parts, about, (), _SUMS, table=table)
    models, providers, tokens = (
        _busiest(connection, table, parts, about, name, top)
        for name in ("model", "provider", "token")
    )
    return Summary(
        since=since,
        until=until,
        total=_figures([*map(sum, zip(_NOTHING, *whole.values(), strict=True))]),
        models=models,
        providers=providers,
        tokens=tokens,
        teams=_busiest(connection, team_rollups, parts, about, rollup_sums.TEAM, top),
        width=width,
        series=[TimePoint(time, _figures(sums)) for (time,), sums in sorted(points.items())],
    )


def health(connection: Connection, *, minutes: int, now: float) -> list[DeploymentHealth]:
    """Return how each deployment did in the last `minutes`; raises InvalidRequest for too many."""
    if not 1 <= minutes <= MAX_HEALTH_MINUTES:
        raise InvalidRequest(
            f"minutes must be from 1 to {MAX_HEALTH_MINUTES}; it is {minutes}.", param="minutes"
        )
    of = attempts.c
    since = first_id(max(0, round(now * SECOND) - minutes * MINUTE * SECOND))
    place = (of.provider, of.model)
    keys = (*place, of.cause, _bucket(of.duration_us), _bucket(of.first_event_us))
    query = select(*keys, func.count()).where(of.request >= since).group_by(*keys)
    counts: dict[tuple[str, str], Counter[str | None]] = defaultdict(Counter)
    took: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * BUCKETS)
    began: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * BUCKETS)
    for provider, model, cause, duration, first_event, count in connection.execute(query):
        deployment = provider, model
        counts[deployment][cause] += count
        if cause is None:
            took[deployment][duration] += count
            if first_event is not None:
                began[deployment][first_event] += count
    return [
        _health(deployment, counts[deployment], took[deployment], began[deployment])
        for deployment in sorted(counts)
    ]


def _health(
    deployment: tuple[str, str],
    counts: Counter[str | None],
    took: Sequence[int],
    began: Sequence[int],
) -> DeploymentHealth:
    causes = {cause: count for cause, count in counts.items() if cause is not None}
    return DeploymentHealth(
        provider=deployment[0],
        model=deployment[1],
        attempts=counts.total(),
        failures=sum(causes.values()),
        causes=dict(sorted(causes.items())),
        duration_us=_quantiles(took),
        first_event_us=_quantiles(began),
    )


def _width(since: int, until: int) -> int:
    seconds = (until - since) // SECOND
    for longest, width in _WIDTHS:
        if seconds <= longest:
            return width
    return -(-seconds // (300 * _WEEK)) * _WEEK


def _busiest(
    connection: Connection,
    table: Table,
    parts: Sequence[RollupSpan],
    about: rollup_sums.Chosen,
    dimension: str,
    count: int,
) -> list[GroupFigures]:
    # Callers can make up names where a pattern allows it, so never are all of them read: which are
    # shown is found out by one column, their figures by all.
    names = rollup_sums.busiest(connection, parts, about, dimension, count, table=table)
    chosen = about.among(dimension, names)
    found = rollup_sums.read(connection, parts, chosen, (dimension,), _SUMS, table=table)
    return [GroupFigures(name, _figures(found[0, name])) for name in names]


def _figures(sums: Sequence[int]) -> Figures:
    counts: dict[str, Any] = rollup_sums.counts_of(sums)
    first = len(COUNTS)
    return Figures(
        **counts,
        error_rate=counts["errors"] / counts["requests"] if counts["requests"] else 0.0,
        latency_us=_quantiles(sums[first : first + BUCKETS]),
        first_event_us=_quantiles(sums[first + BUCKETS :]),
    )


def _quantiles(counts: Sequence[int]) -> Quantiles:
    return Quantiles(quantile(counts, 0.5), quantile(counts, 0.95), quantile(counts, 0.99))


def _bucket(duration: ColumnElement[Any]) -> ColumnElement[Any]:
    steps = [(duration <= bound, number) for number, bound in enumerate(BOUNDS)]
    return case((duration.is_(None), None), *steps, else_=len(BOUNDS))
