"""States of processes to put together."""

from __future__ import annotations

from typing import Any

from gateway.config.reload_status import ReloadStatus
from gateway.group.process_state import (
    CacheState,
    DeploymentState,
    EntryState,
    ProcessState,
    ProviderKeyState,
    SlotState,
)

RELOADS = ReloadStatus(path="/c.toml", generation=1, loaded_at="2026-01-01T00:00:00Z")


def deployment(**changes: Any) -> DeploymentState:
    state = changes.get("state", "closed")
    given: dict[str, Any] = {
        "name": "p/m",
        "state": state,
        "states": {state: 1},
        "available": state == "closed",
        "in_flight": 1,
        "attempts": 10,
        "failures": {},
        "consecutive_failures": 0,
        "first_event_ms": None,
        "opens": 0,
        "rejected": 0,
        "retries_in_flight": 0,
        "retry_budget_exhausted": 0,
        "drained_s": None,
        "keys": [ProviderKeyState("key 1", refused=False, rests_s=0.0)],
    }
    return DeploymentState(**(given | changes))


def process(**changes: Any) -> ProcessState:
    given: dict[str, Any] = {
        "version": "1",
        "pid": 1,
        "phase": "running",
        "in_flight": 3,
        "uptime_s": 10.0,
        "loop_lag_ms": 1.0,
        "entry": EntryState(1, 2.0, 4),
        "config": RELOADS,
        "deployments": [deployment()],
        "slots": [SlotState("all", 3, 10, 1)],
        "cache": CacheState(2, 200),
    }
    return ProcessState(**(given | changes))
