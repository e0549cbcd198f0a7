"""All processes of a gateway by their hosts, as people see them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ...core.processes import GONE, SILENT, UNDER_WAY, ProcessDrain, ProcessRow, drain_of
from ..process_state import ProcessState

_MICRO = 1_000_000


class DrainView(msgspec.Struct, frozen=True):
    """Until when an operator has taken it out of service (microseconds), and who did, and why."""

    until: int
    by: str | None
    reason: str | None


class ProcessView(msgspec.Struct, frozen=True, kw_only=True):
    """`alive` says whether it has spoken within 6 s, `silent_s` for how long it has not if not.

    `started` and `seen` are microseconds. `drained` is None for one that is in service, whatever it
    says itself.
    """

    id: str
    host: str
    pid: int
    version: str
    started: int
    seen: int
    alive: bool
    state: dict[str, Any]
    silent_s: float | None = None
    drained: DrainView | None = None


class HostView(msgspec.Struct, frozen=True, kw_only=True):
    """A host and its processes. `in_flight` and `load` are of those that are alive, together."""

    name: str
    alive: bool
    in_flight: int
    load: float
    versions: tuple[str, ...]
    drained: DrainView | None
    processes: tuple[ProcessView, ...]


def views(
    rows: Sequence[ProcessRow], now: float, drains: Iterable[ProcessDrain] = ()
) -> list[ProcessView]:
    """Return the processes as the API and the pages show them."""
    known = tuple(drains)
    found = []
    for row in rows:
        silent = max(0.0, now - row.seen)
        alive = silent < SILENT
        found.append(
            ProcessView(
                id=row.id,
                host=row.host,
                pid=row.pid,
                version=row.version,
                started=round(row.started * _MICRO),
                seen=round(row.seen * _MICRO),
                alive=alive,
                state={name: said for name, said in row.state.items() if name != UNDER_WAY},
                silent_s=None if alive else round(silent, 1),
                drained=drain_view(drain_of(known, row.host, row.id, now)),
            )
        )
    return found


def hosts_of(
    rows: Sequence[ProcessRow], now: float, drains: Iterable[ProcessDrain] = ()
) -> tuple[HostView, ...]:
    """Return the hosts by their names; processes that are gone are not among theirs."""
    known = tuple(drains)
    by_host: dict[str, list[ProcessView]] = {}
    for view in views([row for row in rows if now - row.seen < GONE], now, known):
        by_host.setdefault(view.host, []).append(view)
    found = []
    for name, processes in sorted(by_host.items()):
        alive = [each for each in processes if each.alive]
        found.append(
            HostView(
                name=name,
                alive=bool(alive),
                in_flight=sum(_number(each.state, "in_flight") for each in alive),
                load=round(sum(_number(each.state, "load") for each in alive), 3),
                versions=tuple(sorted({each.version for each in alive})),
                drained=drain_view(drain_of(known, name, None, now)),
                processes=tuple(processes),
            )
        )
    return tuple(found)


def drain_view(drain: ProcessDrain | None) -> DrainView | None:
    if drain is None:
        return None
    return DrainView(round(drain.until * _MICRO), drain.by, drain.reason)


def live_rows(states: Iterable[ProcessState], now: float) -> list[ProcessRow]:
    """Return what processes say that were asked just now."""
    return [
        ProcessRow(
            id=each.id,
            host=each.host,
            pid=each.pid,
            version=each.version,
            started=now - each.uptime_s,
            seen=now,
            state={
                "phase": each.phase,
                "in_flight": each.in_flight,
                "load": each.load,
                "loop_lag_ms": each.loop_lag_ms,
                "limits": each.limits,
                "leads": list(each.leads),
                "config": msgspec.to_builtins(each.config),
                "deployments": {
                    deployment.name: deployment.state for deployment in each.deployments
                },
            },
        )
        for each in states
        if each.id
    ]


def _number(state: dict[str, Any], name: str) -> Any:
    value = state.get(name)
    return value if isinstance(value, int | float) else 0
