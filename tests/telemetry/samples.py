"""What the tests of metrics count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

from gateway.core.records.record import AttemptRecord, EndReason, Record
from gateway.telemetry.metrics.gauges import (
    BudgetGauges,
    DeploymentGauges,
    EntryGauges,
    GapHistogram,
    Gauges,
    LimitGauges,
    LogGauges,
    SlotGauges,
)
from gateway.telemetry.metrics.recorder import MetricsRecorder

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
BOUNDS = (0.001, 0.01, 0.1)


def settled(*causes: str | None, **changes: Any) -> Record:
    """Return a record of one served request; its attempts failed for `causes`, None did not."""
    fields: dict[str, Any] = {
        "request_id": "req_1",
        "time": 1.5,
        "token": "team",
        "model": "fast",
        "provider": "openai",
        "provider_model": "gpt-4o-mini",
        "status": 200,
        "end_reason": EndReason.COMPLETE,
        "input_tokens": 100,
        "output_tokens": 30,
        "cached_tokens": 40,
        "reasoning_tokens": 20,
        "cost_nano_usd": 2_500_000,
        "latency_ms": 1200.0,
        "first_event_ms": 340.0,
        "attempts": [
            AttemptRecord(provider="openai", model="gpt-4o-mini", cause=cause)
            for cause in causes or (None,)
        ],
    }
    return Record(**{**fields, **changes})


def refused(code: str, reason: EndReason = EndReason.REJECTED, **changes: Any) -> Record:
    """Return a record of a request that no provider was asked for."""
    fields: dict[str, Any] = {"model": "fast", "token": "team", "status": 429, "latency_ms": 1.0}
    fields |= {"request_id": "req_2", "time": 1.5, "error_code": code, "end_reason": reason}
    return Record(**{**fields, **changes})


def state(**changes: Any) -> Gauges:
    """Return the state of a busy process."""
    fields: dict[str, Any] = {
        "in_flight": 3,
        "loop_lag": 0.25,
        "deployments": [
            DeploymentGauges("openai/gpt-4o-mini", "closed", True, 2, 1, 7, 0),
            DeploymentGauges("azure/gpt-4o-mini", "open", False, 0, 4, 9, 5),
        ],
        "slots": [
            SlotGauges("the gateway", 3, 1, None),
            SlotGauges("provider openai", 2, 4, 10),
        ],
        "unserved": {("GET", "/embeddings", "404"): 3},
        "entry": EntryGauges(7, 0.125, 11),
        "log": LogGauges(12, 100, 5, 1, False),
        "limits": LimitGauges(False, 3),
        "budgets": [BudgetGauges("team", "search", "month", 10.0, 4.0, 5.5)],
        "cache_entries": 8,
        "cache_bytes": 4096,
        "config_generation": 2,
        "reloaded_at": 1_700_000_000.5,
        "reload_ok": True,
    }
    return Gauges(**{**fields, **changes})


def gaps() -> GapHistogram:
    return GapHistogram(BOUNDS, (5, 4, 3, 1), 2.5)


def make(directory: Path | None = None, limit: int = 200, **changes: Any) -> MetricsRecorder:
    return MetricsRecorder(limit, lambda: state(**changes), gaps, directory)


def parse(metrics: MetricsRecorder, accept: str | None = None) -> dict[str, Metric]:
    """Return the families that are exposed, by their names in OpenMetrics."""
    return parsed(*metrics.expose(accept))


def parsed(kind: bytes, body: bytes) -> dict[str, Metric]:
    """Return the families of an answer, as the library's own strict parsers read them."""
    strict: Callable[[str], Iterable[Metric]] = openmetrics if b"openmetrics" in kind else text
    families = list(strict(body.decode()))
    by_name = {each.name.removesuffix("_total"): each for each in families}
    assert len(by_name) == len(families)
    return by_name


def values(metrics: MetricsRecorder, accept: str | None = None) -> dict[str, float]:
    """Return all that is exposed, by sample as text writes it."""
    found: dict[str, float] = {}
    for family in parse(metrics, accept).values():
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found, key
            found[key] = sample.value
    return found
