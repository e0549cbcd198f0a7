"""The admin API: what the gateway is doing, and a reload. Nothing here shows any of a key."""

from __future__ import annotations

import os
from typing import Any, Protocol

import trio

from .. import __version__
from ..config.reload import Outcome, Standing
from ..config.snapshot import Snapshot
from ..core.routing.target import Target
from ..errors import AuthenticationFailed, PermissionDenied
from ..lifecycle import Lifecycle
from ..proxy.services import Services
from .operations import Reply
from .replies import json_reply


class Control(Protocol):
    """What of the application the admin API has to do with."""

    @property
    def standing(self) -> Standing: ...

    async def reload_everywhere(self, cause: str) -> Outcome:
        """Reload this process and have the others do the same."""
        ...


def authenticate(snapshot: Snapshot, key: bytes | None) -> str:
    """Return the name of the admin that `key` belongs to. Raises 401, and 403 if there is none."""
    if not snapshot.admins:
        raise PermissionDenied(
            "the admin API is off; add [[admins]] with a name and a key to the configuration"
        )
    name = snapshot.admin(key) if key else None
    if name is None:
        raise AuthenticationFailed("the admin API takes the keys of [[admins]] and no others")
    return name


async def reload(control: Control, admin: str) -> Reply:
    """Reload the configuration; 422 with everything that is wrong with it."""
    outcome = await control.reload_everywhere(f"admin {admin}")
    if outcome.reloaded:
        return 200, *json_reply(
            {
                "reloaded": True,
                "generation": outcome.generation,
                "needs_restart": outcome.needs_restart,
            }
        )
    headers, body = json_reply(
        {
            "error": {
                "message": "the configuration was not reloaded, the old one stays in use: "
                + "; ".join(outcome.problems),
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_configuration",
                "problems": outcome.problems,
            }
        }
    )
    return 422, [*headers, (b"x-should-retry", b"false")], body


def status(control: Control, services: Services, lifecycle: Lifecycle, since: float) -> Reply:
    """Say what this process is doing; `since` is when it started, in Trio's seconds."""
    now = trio.current_time()
    traffic, store = services.traffic, services.cache.store
    return 200, *json_reply(
        {
            "version": __version__,
            "pid": os.getpid(),
            "phase": lifecycle.phase.value,
            "in_flight": lifecycle.in_flight,
            "uptime_s": round(now - since, 3),
            "loop_lag_ms": _ms(traffic.lag.current(now)),
            "config": control.standing,
            "deployments": [_deployment(each, now) for each in services.state.targets],
            "slots": [
                {"of": each.what, "held": each.held, "limit": each.limit, "waiting": each.waiting}
                for each in traffic
            ],
            "cache": {"entries": len(store), "bytes": store.stored + store.held},
        }
    )


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
