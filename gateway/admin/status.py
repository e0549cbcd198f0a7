"""The state of this process. Nothing here shows any of a key."""

from __future__ import annotations

import os
from typing import Any

import trio
from starlette.responses import Response

from .. import __version__
from ..core.routing.health import DeploymentStatus
from .request import AdminRequest, encoded
from .resources import Resources


async def status(request: AdminRequest) -> Response:
    """Say what this process is doing."""
    return encoded(state(request.resources))


def state(resources: Resources) -> dict[str, Any]:
    """Return what this process is doing, as JSON can hold it."""
    now = trio.current_time()
    services, lifecycle = resources.services, resources.lifecycle
    traffic, cache = services.traffic, services.cache.store
    found = {
        "version": __version__,
        "pid": os.getpid(),
        "phase": lifecycle.phase.value,
        "in_flight": lifecycle.in_flight,
        "uptime_s": round(now - resources.since, 3),
        "loop_lag_ms": _ms(max(traffic.lag.current(now), lifecycle.entry.wait)),
        "entry": {
            "waiting": lifecycle.entry.waiting,
            "wait_ms": _ms(lifecycle.entry.wait),
            "turned_away": lifecycle.entry.turned_away,
        },
        "config": resources.control.reload_status,
        "deployments": [deployment_state(each) for each in services.health.status(now)],
        "slots": [
            {"of": each.what, "held": each.held, "limit": each.limit, "waiting": each.waiting}
            for each in traffic
        ],
        "cache": {"entries": len(cache), "bytes": cache.stored + cache.held},
    }
    if resources.debug_log is not None:
        found["debug_log"] = resources.debug_log()
    if resources.store is not None:
        found["store"] = resources.store()
    return found


def deployment_state(status: DeploymentStatus) -> dict[str, Any]:
    """Return how a deployment is, as JSON can hold it."""
    first_event = status.first_event
    return {
        "name": status.name,
        "state": status.state,
        "available": status.available,
        "in_flight": status.in_flight,
        "attempts": status.attempts,
        "failures": status.failures,
        "consecutive_failures": status.consecutive_failures,
        "first_event_ms": None if first_event is None else _ms(first_event),
        "opens": status.opens,
        "rejected": status.rejected,
        "retries_in_flight": status.retries_in_flight,
        "retry_budget_exhausted": status.retry_budget_exhausted,
        "drained_s": None if status.drained is None else round(status.drained, 3),
        "keys": [
            {"label": key.label, "refused": key.refused, "rests_s": round(key.rests, 3)}
            for key in status.keys
        ],
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
