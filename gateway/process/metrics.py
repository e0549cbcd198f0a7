"""What counts records for Prometheus, and what tells it how the process is."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from ..api.asgi_app import Runtime
from ..background import persist
from ..config.reload_status import ReloadStatus
from ..config.schema import Config
from ..telemetry.metrics.directory import named_directory
from . import gauges
from .budget_gauges import BudgetWatch
from .recording import Recording

if TYPE_CHECKING:
    from ..telemetry.metrics.recorder import MetricsRecorder


def metrics_of(
    config: Config,
    running: Runtime,
    recording: Recording,
    status: Callable[[], ReloadStatus],
    nursery: trio.Nursery,
) -> MetricsRecorder | None:
    """Start to count, in `nursery`, if that is wanted; `running` shows it from then on."""
    if not config.metrics.enabled:
        return None
    from ..telemetry.metrics.recorder import MetricsRecorder

    services, most = running.services, config.metrics.max_label_values
    budgets = BudgetWatch(services.limits, lambda: running.snapshot, most)
    metrics = MetricsRecorder(
        most,
        lambda: gauges.gauges(
            services,
            status(),
            recording.gauges(),
            budgets.found,
            gauges.limit_gauges(services.limits),
        ),
        gauges.gaps(services.traffic.gaps),
        named_directory(os.environ),
    )
    recording.count(metrics)
    recording.configure(config)
    running.metrics = metrics
    nursery.start_soon(persist, metrics.run)
    nursery.start_soon(persist, budgets.run)
    return metrics
