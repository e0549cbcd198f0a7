"""How one process is, as it shows itself and tells the others. Nothing here shows any of a key."""

from __future__ import annotations

from typing import Any

import msgspec

from ..config.reload_status import ReloadStatus
from ..core.routing.health import DeploymentStatus


class EntryState(msgspec.Struct, frozen=True):
    """Requests that wait for their turn, and those that were turned away since the start."""

    waiting: int
    wait_ms: float
    turned_away: int


class ProviderKeyState(msgspec.Struct, frozen=True):
    """A key of a provider: whether it is refused, and for how many seconds more it rests."""

    label: str
    refused: bool
    rests_s: float


class DeploymentState(msgspec.Struct, frozen=True, kw_only=True):
    """How a deployment is. `state` is its breaker's; of several processes the worst.

    `states` counts the processes by it. `available` says whether any process would send it a
    request now. Counts are since the start, `first_event_ms` is an average, None before the
    first, and `drained_s` is for how many seconds more an operator has taken it out.
    """

    name: str
    state: str
    states: dict[str, int]
    available: bool
    in_flight: int
    attempts: int
    failures: dict[str, int]
    consecutive_failures: int
    first_event_ms: float | None
    opens: int
    rejected: int
    retries_in_flight: int
    retry_budget_exhausted: int
    drained_s: float | None
    keys: list[ProviderKeyState]


class SlotState(msgspec.Struct, frozen=True):
    """Places for requests: those of the gateway, of a provider or of a deployment.

    `shared` says that the limit is one of all processes together.
    """

    of: str
    held: int
    limit: int | None
    waiting: int
    shared: bool = False


class CacheState(msgspec.Struct, frozen=True):
    """The answers that are kept in memory."""

    entries: int
    bytes: int


class ProcessState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a process is. `worker` counts from 0; None if it is alone.

    `load` is the part of one processor that it had of late. `limits` says whether it counts limits
    by itself ("own"), with others ("shared"), or keeps to its share of them since it cannot ask
    ("degraded"). `leads` are the jobs that it does for all.

    `store` is the state of the writer of records, `debug_log` that of the writer of captures;
    both are absent where nothing is written.
    """

    version: str
    pid: int
    phase: str
    in_flight: int
    uptime_s: float
    loop_lag_ms: float
    entry: EntryState
    config: ReloadStatus
    deployments: list[DeploymentState]
    slots: list[SlotState]
    cache: CacheState
    worker: int | None = None
    id: str = ""
    host: str = ""
    load: float = 0.0
    limits: str = "own"
    leads: tuple[str, ...] = ()
    debug_log: dict[str, Any] | None = None
    store: dict[str, Any] | None = None


def deployment_state(status: DeploymentStatus) -> DeploymentState:
    """Return how a deployment is in this process."""
    first_event = status.first_event
    return DeploymentState(
        name=status.name,
        state=status.state,
        states={status.state: 1},
        available=status.available,
        in_flight=status.in_flight,
        attempts=status.attempts,
        failures=status.failures,
        consecutive_failures=status.consecutive_failures,
        first_event_ms=None if first_event is None else milliseconds_of(first_event),
        opens=status.opens,
        rejected=status.rejected,
        retries_in_flight=status.retries_in_flight,
        retry_budget_exhausted=status.retry_budget_exhausted,
        drained_s=None if status.drained is None else round(status.drained, 3),
        keys=[ProviderKeyState(key.label, key.refused, round(key.rests, 3)) for key in status.keys],
    )


def milliseconds_of(seconds: float) -> float:
    return round(seconds * 1000, 3)
