"""Metrics of requests: counted as each is settled, shown when Prometheus asks.

Counting is what every request pays for, so it is a few additions to cells that one look-up
finds. What Prometheus makes of them is put together in a thread, when it asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from ...core.records.record import AttemptRecord, EndReason, Record
from ...core.records.traceparent import Trace
from ...errors import ConfigError
from . import families
from .cells import Cells, MemoryCells, SharedCells
from .families import SECONDS, MetricFamily
from .gauges import GapHistogram, GaugeBoard, Gauges
from .labels import OTHER, LabelValues
from .reasons import INVALID, REASONS

if TYPE_CHECKING:
    from .exposition import Exposition

# How often a worker shows the others what it is doing, in seconds.
PUBLISH_EVERY: Final = 1.0
# Sets of model, provider, token, status and end: more would make a scrape take a second. New ones
# from then on have "other" for model and token.
MOST_GROUPS: Final = 10_000
_NANO: Final = 1_000_000_000

PROVIDER_LIMIT: Final = "provider_limit"
# Where no attempt was made, these are refusals too.
_REFUSING: Final = frozenset(
    {
        *(EndReason.PROVIDERS_FAILED, EndReason.TOTAL_TIMEOUT),
        *(EndReason.SHUTTING_DOWN, EndReason.CANCELLED),
    }
)


class _Group:
    """The cells of requests that have model, provider, token, status and end in common."""

    __slots__ = ("cost", "cost_unknown", "duration", "first_event", "labels", "requests", "usage")

    def __init__(self, labels: tuple[str, str, str], requests: Cells, duration: Cells) -> None:
        self.labels = labels
        self.requests = requests
        self.duration = duration
        # Made when there is something to count: a refusal has neither.
        self.first_event: Cells | None = None
        self.usage: list[Cells] | None = None
        # A series that is there and 0 would say that nothing was spent.
        self.cost: Cells | None = None
        self.cost_unknown: Cells | None = None


class MetricsRecorder:
    """A `Recorder`. `collect` returns the process's state, and `gaps` those in its streams.

    `limit` bounds the values of each label. With a `directory` several processes count together,
    and each of them can show the sum. Raises ConfigError if it cannot be written to.
    """

    def __init__(
        self,
        limit: int,
        collect: Callable[[], Gauges],
        gaps: Callable[[], GapHistogram] | None = None,
        directory: Path | None = None,
    ) -> None:
        self._storage = _storage(directory)
        self._collect = collect
        self._gaps = gaps
        self._gap_family = None if gaps is None else families.gap_family(gaps().bounds)
        self._values: dict[str, LabelValues] = {}
        self._limit = limit
        table = families.table(self._gap_family)
        self._remember(table)
        self._groups: dict[tuple[Any, ...], _Group] = {}
        self._attempts: dict[tuple[str, str, str | None], Cells] = {}
        self._board = GaugeBoard(self._storage, self._label("deployment"), limit)
        self._families, self._alone = table, directory is None
        for reason in (*REASONS.values(), INVALID, PROVIDER_LIMIT):
            # Prometheus does not see the first increase of a series that begins at 1.
            self._open(families.REFUSALS, reason)
        # One scrape at a time, which takes no thread from others.
        self._limiter = trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<MetricsRecorder {self._storage!r}, {len(self._groups)} groups>"

    def know(self, label: str, values: Iterable[str]) -> None:
        """Reserve room for `values` of `label`, which names made up by callers can't take then.

        `label` is one of model, token, provider, provider_model and deployment.
        """
        known = self._label(label)
        for value in values:
            known.add(value)

    def record(self, record: Record, trace: Trace | None = None) -> None:
        """Count a request that has ended; nothing of its `trace` is counted."""
        how = (record.status, record.end_reason, record.operation)
        key = (record.model, record.provider, record.token, *how)
        group = self._groups.get(key)
        if group is None:
            group = self._group(record, key)
        group.requests[0] += 1.0
        _observe(group.duration, record.latency_ms / 1000)
        if record.first_event_ms is not None:
            if group.first_event is None:
                group.first_event = self._open(families.FIRST_EVENT, *group.labels[:2])
            _observe(group.first_event, record.first_event_ms / 1000)
        if record.cached:
            # Its tokens and its cost are those of the request that it was made for.
            self._open(families.CACHE_HITS, group.labels[0])[0] += 1.0
        else:
            if record.input_tokens is not None:
                self._count_tokens(group, record)
            self._count_cost(group, record)
        if record.attempts:
            self._count_attempts(record.attempts)
        if record.end_reason is EndReason.REJECTED or (
            not record.attempts and record.end_reason in _REFUSING
        ):
            reason = REASONS.get(record.error_code or "", INVALID)
            if record.end_reason is EndReason.PROVIDERS_FAILED and reason == "rate_limit":
                # The limit is that of all providers' keys, and not the caller's.
                reason = PROVIDER_LIMIT
            self._open(families.REFUSALS, reason)[0] += 1.0

    def publish(self) -> None:
        """Write this process's gauges, for the worker that is scraped next. Not in a thread."""
        gaps = None if self._gaps is None else self._gaps()
        self._board.show(self._collect(), gaps, self._gap_family)

    def expose(self, accept: str | None) -> tuple[bytes, bytes]:
        """Return the content type and the body of an answer. May be called in any thread."""
        return self._exposition.render(accept)

    @cached_property
    def _exposition(self) -> Exposition:
        # Made for the first scrape: what it is made with takes 15 ms and 2 MB.
        from .exposition import Exposition

        return Exposition(self._storage, self._families, alone=self._alone)

    async def scrape(self, accept: str | None) -> tuple[bytes, bytes]:
        """Return the same, up to date, without stopping the event loop."""
        self.publish()
        return await trio.to_thread.run_sync(
            self.expose, accept, abandon_on_cancel=True, limiter=self._limiter
        )

    async def run(self) -> None:
        """Publish once a second, until cancelled: another worker may be scraped."""
        while True:
            self.publish()
            await trio.sleep(PUBLISH_EVERY)

    def close(self) -> None:
        """Leave the file to the next process, which goes on counting in it."""
        if isinstance(self._storage, SharedCells):
            self._storage.close()

    def _count_tokens(self, group: _Group, record: Record) -> None:
        usage = group.usage
        if usage is None:
            usage = [self._open(families.TOKENS, *group.labels, each) for each in _TYPES]
            group.usage = usage
        taken, given, cached, reasoning, written = usage
        taken[0] += record.input_tokens or 0
        given[0] += record.output_tokens or 0
        cached[0] += record.cached_tokens or 0
        reasoning[0] += record.reasoning_tokens or 0
        written[0] += record.cache_write_tokens or 0

    def _count_cost(self, group: _Group, record: Record) -> None:
        if record.cost_nano_usd is not None:
            if group.cost is None:
                group.cost = self._open(families.COST, *group.labels)
            group.cost[0] += record.cost_nano_usd / _NANO
        elif record.input_tokens is not None or record.first_event_ms is not None:
            # Answered, so it costs something.
            if group.cost_unknown is None:
                group.cost_unknown = self._open(families.COST_UNKNOWN, *group.labels)
            group.cost_unknown[0] += 1.0

    def _count_attempts(self, attempts: list[AttemptRecord]) -> None:
        before: AttemptRecord | None = None
        for each in attempts:
            cells = self._attempts.get((each.provider, each.model, each.cause))
            if cells is None:
                cells = self._attempt(each)
            cells[0] += 1.0
            if before is not None:
                again = each.provider == before.provider and each.model == before.model
                family = families.RETRIES if again else families.FALLBACKS
                self._open(family, self._label("provider").add(each.provider))[0] += 1.0
            before = each

    def _group(self, record: Record, key: tuple[Any, ...]) -> _Group:
        """Return the cells for `record`; remember them if its names are shown as they are."""
        model, provider = self._model(record), self._shown("provider", record.provider)
        token, status = (
            self._shown("token", record.token),
            self._shown("status", str(record.status)),
        )
        if len(self._groups) >= MOST_GROUPS:
            model, token = model and OTHER, token and OTHER
        requests = self._open(
            families.REQUESTS,
            *(model, provider, token, status, record.end_reason.value),
            self._shown("operation", record.operation),
        )
        duration = self._open(families.DURATION, model, provider)
        group = _Group((model, provider, token), requests, duration)
        # Not remembered: "other" stands for many names, and an unknown model may be known later.
        if OTHER not in (*group.labels, status) and (model or record.model is None):
            self._groups[key] = group
        return group

    def _model(self, record: Record) -> str:
        """Return how to show the model, which a caller may have made up.

        Only a model that was asked for an answer is added to the label's values. From then on it
        is also shown for requests that were refused.
        """
        if record.model is None:
            return ""
        if record.attempts or record.cached:
            return self._label("model").add(record.model)
        return self._label("model").known(record.model) or ""

    def _attempt(self, attempt: AttemptRecord) -> Cells:
        provider = self._label("provider").add(attempt.provider)
        model = self._label("provider_model").add(attempt.model)
        cells = self._open(families.ATTEMPTS, provider, model, attempt.cause or "ok")
        if OTHER not in (provider, model):
            self._attempts[attempt.provider, attempt.model, attempt.cause] = cells
        return cells

    def _open(self, family: MetricFamily, *labels: str) -> Cells:
        return self._storage.open((family.name, *labels), family.size)

    def _shown(self, label: str, value: str | None) -> str:
        return "" if value is None else self._label(label).add(value)

    def _label(self, name: str) -> LabelValues:
        found = self._values.get(name)
        if found is None:
            found = self._values[name] = LabelValues(self._limit)
        return found

    def _remember(self, table: dict[str, MetricFamily]) -> None:
        """Add the names in the file of a dead process to the labels' values."""
        for name, *values in self._storage.known():
            family = table.get(name)
            if family is None or len(family.labels) != len(values):
                continue
            for label, value in zip(family.labels, values, strict=True):
                if value and value != OTHER:
                    self._label(label).add(value)


_TYPES: Final = ("input", "output", "cached", "reasoning", "cache_write")


def _storage(directory: Path | None) -> MemoryCells | SharedCells:
    if directory is None:
        return MemoryCells()
    try:
        return SharedCells(directory)
    except OSError as exc:
        problem = f"the directory for metrics, {directory}, can't be used: {exc.strerror}"
        raise ConfigError([problem]) from exc


def _observe(cells: Cells, seconds: float) -> None:
    cells[bisect_left(SECONDS, seconds)] += 1.0
    cells[-1] += seconds
