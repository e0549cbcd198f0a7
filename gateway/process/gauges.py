"""What the process is doing, from all its parts, as metrics show it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec
import trio

from .. import __version__
from ..config.reload_status import ReloadStatus
from ..core.processes import MOST_UNDER_WAY, UNDER_WAY, ProcessRow
from ..core.records.gaps import BOUNDS, GapCounts
from ..group.known.presence import ProcessPresence
from ..group.process_state import milliseconds_of
from ..proxy.in_flight import InFlightRow
from ..proxy.services import Services
from ..state.shared.limits import SharedLimits
from ..telemetry.metrics.gauges import (
    BudgetGauges,
    DeploymentGauges,
    EntryGauges,
    GapHistogram,
    Gauges,
    LimitGauges,
    LogGauges,
    SlotGauges,
)

# How old it is follows from when it started.
_UNTOLD: Final = {"client_ip", "age_s"}


def gauges(
    services: Services,
    status: ReloadStatus,
    log: LogGauges | None,
    budgets: Sequence[BudgetGauges] = (),
    limits: LimitGauges | None = None,
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
        slots=[SlotGauges(each.what, each.in_use, each.waiting, each.limit) for each in traffic],
        log=log,
        cache_entries=len(store),
        cache_bytes=store.stored + store.held,
        config_generation=status.generation,
        reloaded_at=datetime.fromisoformat(status.loaded_at).timestamp(),
        reload_ok=status.last_error is None,
        unserved=services.unserved.counts,
        budgets=budgets,
        refused_keys=services.traffic.refused.total,
        limits=limits,
    )


def limits_word(limits: object) -> str:
    """Return how `limits` are counted: by this process itself, with others, or by its share."""
    if not isinstance(limits, SharedLimits):
        return "own"
    return "degraded" if limits.degraded else "shared"


def limit_gauges(limits: object) -> LimitGauges | None:
    """Return how `limits` are if they are shared."""
    if not isinstance(limits, SharedLimits):
        return None
    return LimitGauges(limits.degraded, limits.decided_alone)


def gaps(counts: GapCounts) -> Callable[[], GapHistogram]:
    """Return what shows `counts` as they are when it is called."""
    return lambda: GapHistogram(BOUNDS, counts.counts, counts.total)


def row_of(
    services: Services, status: ReloadStatus | None, presence: ProcessPresence, **more: object
) -> ProcessRow:
    """Return how this process is, as it tells the others of its gateway."""
    lifecycle, now = services.lifecycle, trio.current_time()
    lag = max(services.traffic.lag.current(now), lifecycle.entry.wait)
    state: dict[str, object] = {
        "phase": lifecycle.standing,
        "in_flight": lifecycle.in_flight,
        "load": presence.load,
        "loop_lag_ms": milliseconds_of(lag),
        "limits": presence.limits(),
        "leads": sorted(presence.leads()),
        "config": None if status is None else msgspec.to_builtins(status),
        "deployments": {each.name: each.state for each in services.health.status(now)},
        UNDER_WAY: [_told(each) for each in services.in_flight.rows(now, MOST_UNDER_WAY)],
        **more,
    }
    return ProcessRow(
        id=presence.id,
        host=presence.host,
        pid=presence.pid,
        version=__version__,
        started=presence.started,
        seen=time.time(),
        state=state,
    )


def _told(row: InFlightRow) -> dict[str, object]:
    """Return what others are told of a request; the address of its caller is for this process."""
    found: dict[str, object] = msgspec.to_builtins(row)
    return {name: value for name, value in found.items() if name not in _UNTOLD}
