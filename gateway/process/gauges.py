"""What the process is doing, from all its parts, as metrics show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
import trio

from ..config.reload_status import ReloadStatus
from ..core.records.gaps import BOUNDS, GapCounts
from ..proxy.services import Services
from ..telemetry.metrics.gauges import (
    BudgetGauges,
    DeploymentGauges,
    EntryGauges,
    GapHistogram,
    Gauges,
    LogGauges,
    SlotGauges,
)


def gauges(
    services: Services,
    status: ReloadStatus,
    log: LogGauges | None,
    budgets: Sequence[BudgetGauges] = (),
) -> Gauges:
    """Return the state at this moment; to be asked in Trio's thread."""
    now = trio.current_time()
    traffic, store = services.traffic, services.cache.store
    entry = services.lifecycle.entry
    return Gauges(
        in_flight=services.lifecycle.in_flight,
        # A loop that lets nothing wait is late all the same to those that it has not let in yet.
        loop_lag=max(traffic.lag.current(now), entry.wait),
        entry=EntryGauges(entry.waiting, entry.wait, entry.turned_away),
        deployments=[
            DeploymentGauges(
                name=each.name,
                state=each.state,
                available=each.available,
                in_flight=each.in_flight,
                opens=each.opens,
                rejected=each.rejected,
                retry_budget_exhausted=each.retry_budget_exhausted,
            )
            for each in services.health.status(now)
        ],
        slots=[SlotGauges(each.what, each.held, each.waiting, each.limit) for each in traffic],
        log=log,
        cache_entries=len(store),
        cache_bytes=store.stored + store.held,
        config_generation=status.generation,
        reloaded_at=datetime.fromisoformat(status.loaded_at).timestamp(),
        reload_ok=status.last_error is None,
        unserved=services.unserved.counts,
        budgets=budgets,
        refused_keys=services.traffic.refused.total,
    )


def gaps(counts: GapCounts) -> Callable[[], GapHistogram]:
    """Return what shows `counts` as they are when it is called."""
    return lambda: GapHistogram(BOUNDS, counts.counts, counts.total)


def state_of(services: Services, status: ReloadStatus | None) -> dict[str, object]:
    """Return how this process is, as it tells the others of its gateway."""
    lifecycle = services.lifecycle
    return {
        "phase": lifecycle.phase.value,
        "in_flight": lifecycle.in_flight,
        "config": None if status is None else msgspec.to_builtins(status),
        "deployments": {
            each.name: each.state for each in services.health.status(trio.current_time())
        },
    }
