"""The state of this process. Nothing here shows any of a key."""

from __future__ import annotations

import os
from typing import Any

import trio
from starlette.responses import Response

from .. import __version__
from ..core.routing.target import Target
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
        "loop_lag_ms": _ms(traffic.lag.current(now)),
        "config": resources.control.reload_status,
        "deployments": [_deployment(each, now) for each in services.state.targets],
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


def _deployment(target: Target, now: float) -> dict[str, Any]:
    health, breaker, keyring = target.health, target.breaker, target.keyring
    first_event = health.first_event.value
    return {
        "name": target.name,
        "state": breaker.state(now).value,
        "available": target.available(now) or target.probe_due(now),
        "in_flight": target.in_flight,
        "attempts": health.attempts,
        "failures": {cause.value: count for cause, count in health.failures.items()},
        "consecutive_failures": health.consecutive_failures,
        "first_event_ms": None if first_event is None else _ms(first_event),
        "opens": breaker.opens,
        "rejected": breaker.rejected,
        "retries_in_flight": target.retries.retries_in_flight,
        "retry_budget_exhausted": target.retries.exhausted,
        "keys": [
            {
                "label": key.label,
                # Not why: a provider's words may quote a part of the key.
                "refused": keyring.why_refused(key) is not None,
                "rests_s": round(keyring.rests(key, now), 3),
            }
            for key in keyring.keys
        ],
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
