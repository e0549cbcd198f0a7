"""What all workers have counted, as one text for Prometheus.

The only module that imports prometheus_client, which takes 15 ms and 1.2 MB.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from .cells import CellPage, CellStorage
from .families import MergeRule, MetricFamily, MetricKind

# A line takes 20 us to render. The event loop would wait 5 ms for the interpreter
# (sys.setswitchinterval) at each step of each request while a thread renders. A thread that pauses
# gives the interpreter up at once.
PAUSE_EVERY: Final = 25
PAUSE: Final = 0.000_05

_T = TypeVar("_T")
Labels = tuple[str, ...]
Merged = dict[str, dict[Labels, list[float]]]


class Exposition:
    """Renders `storage`. `alone` says that no other process's numbers are in it."""

    def __init__(
        self, storage: CellStorage, families: Mapping[str, MetricFamily], *, alone: bool
    ) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Series(storage, families))
        if alone:
            # With several workers these would be those of the worker that answers: counters that
            # go back and forth.
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)
            GCCollector(registry=self._registry)

    def render(self, accept: str | None) -> tuple[bytes, bytes]:
        """Return the content type and the body that an Accept header asks for."""
        if wants_openmetrics(accept or ""):
            body: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            return openmetrics.CONTENT_TYPE_LATEST.encode(), body
        return CONTENT_TYPE_PLAIN_0_0_4.encode(), generate_latest(self._registry)


def wants_openmetrics(accept: str) -> bool:
    """Say whether an Accept header prefers OpenMetrics 1 to the text format.

    prometheus_client's `choose_encoder` ignores weights, fails at a version that is no number,
    and sends back any version it is given.
    """
    best, found = 0.0, False
    for choice in accept.split(","):
        name, *parameters = (part.strip().lower() for part in choice.split(";"))
        given = dict(part.split("=", 1) for part in parameters if "=" in part)
        ours = name == "application/openmetrics-text"
        if ours and given.get("version", "1.0.0") not in ("0.0.1", "1.0.0"):
            continue
        if ours or name in ("text/plain", "text/*", "*/*"):
            weight = _weight(given.get("q", "1"))
            if weight > best:
                best, found = weight, ours
    return found


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def merge(pages: Iterable[CellPage], families: Mapping[str, MetricFamily]) -> Merged:
    """Put together what the workers have; of dead workers only counters and histograms."""
    merged: Merged = {name: {} for name in families}
    for page in pages:
        for (name, *values), cells in _paced(page.series):
            family, labels = families.get(name), tuple(values)
            # A file may be of another version, which knew other metrics.
            if family is None or len(cells) != family.size or len(labels) != len(family.labels):
                continue
            if family.kind is MetricKind.GAUGE and (not page.live or math.isnan(cells[0])):
                continue
            known = merged[name].get(labels)
            merged[name][labels] = cells if known is None else _join(family.merge, known, cells)
    return merged


def _join(how: MergeRule, one: list[float], other: list[float]) -> list[float]:
    if how is MergeRule.SUM:
        return [a + b for a, b in zip(one, other, strict=True)]
    return max(one, other) if how is MergeRule.MAX else min(one, other)


class _Series(Collector):
    def __init__(self, storage: CellStorage, families: Mapping[str, MetricFamily]) -> None:
        self._storage = storage
        self._families = families

    def collect(self) -> Iterator[Metric]:
        merged = merge(self._storage.pages(), self._families)
        for name, series in merged.items():
            if series:
                metric = _metric(self._families[name], series)
                metric.samples = _Samples(metric.samples)
                yield metric


class _Samples(list[Sample]):
    """Samples whose rendering pauses now and then."""

    def __iter__(self) -> Iterator[Sample]:
        return _paced(super().__iter__())


def _paced(items: Iterable[_T]) -> Iterator[_T]:
    for number, item in enumerate(items, 1):
        yield item
        if number % PAUSE_EVERY == 0:
            time.sleep(PAUSE)


def _metric(family: MetricFamily, series: Mapping[Labels, list[float]]) -> Metric:
    name, text, labels = family.name, family.help, family.labels
    if family.kind is MetricKind.HISTOGRAM:
        histogram = HistogramMetricFamily(name, text, labels=labels, unit="seconds")
        bounds = [*map(floatToGoString, family.bounds), "+Inf"]
        for values, cells in _paced(series.items()):
            counts = accumulate(cells[:-1])
            histogram.add_metric(values, [*zip(bounds, counts, strict=True)], cells[-1])
        return histogram
    made: CounterMetricFamily | GaugeMetricFamily
    if family.kind is MetricKind.COUNTER:
        made = CounterMetricFamily(name, text, labels=labels)
    else:
        made = GaugeMetricFamily(name, text, labels=labels)
    for values, cells in _paced(series.items()):
        made.add_metric(values, cells[0])
    return made
