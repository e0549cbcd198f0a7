"""How the group is, from how each process is: what is counted is added up, what is bad prevails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from .known.hosts import HostView
from .process_state import (
    CacheState,
    DeploymentState,
    EntryState,
    ProcessState,
    ProviderKeyState,
    SlotState,
)

T = TypeVar("T")

# Of a breaker, from good to bad.
_STATES: Final = {"closed": 0, "half_open": 1, "open": 2}


class GroupState(ProcessState, frozen=True, kw_only=True, omit_defaults=True):
    """How all processes of the gateway are together.

    `pid`, `phase`, `uptime_s` and `version` are of the process that answers; so is `config`, but
    for a reload that has failed in another one. `processes` has each by itself if there are
    several, and `silent` the workers that did not say how they are: they are busy, or just being
    replaced. `hosts` are all processes of all hosts, as far as `hosts_from` knows ("state",
    "database" or "supervisor"); `hosts_error` says why a better one does not.
    """

    processes: tuple[ProcessState, ...] = ()
    silent: tuple[int, ...] = ()
    hosts: tuple[HostView, ...] = ()
    hosts_from: str = ""
    hosts_error: str | None = None


def merged(states: Sequence[ProcessState], silent: tuple[int, ...] = ()) -> GroupState:
    """Return the state of the group; the first of `states` is the process's own."""
    own = states[0]
    given = {name: getattr(own, name) for name in ProcessState.__struct_fields__}
    if len(states) == 1:
        return GroupState(**given, processes=(own,) if silent else (), silent=silent)
    failed = (each.config for each in states if each.config.last_error is not None)
    given |= {
        "in_flight": sum(each.in_flight for each in states),
        "loop_lag_ms": max(each.loop_lag_ms for each in states),
        "entry": EntryState(
            waiting=sum(each.entry.waiting for each in states),
            wait_ms=max(each.entry.wait_ms for each in states),
            turned_away=sum(each.entry.turned_away for each in states),
        ),
        "config": next(failed, own.config),
        "deployments": _of_all(states, lambda each: each.deployments, _name, _deployment),
        "slots": _of_all(states, lambda each: each.slots, lambda slot: slot.of, _slot),
        "cache": CacheState(
            entries=sum(each.cache.entries for each in states),
            bytes=sum(each.cache.bytes for each in states),
        ),
        "worker": None,
        "load": round(sum(each.load for each in states), 3),
        "limits": "degraded" if any(each.limits == "degraded" for each in states) else own.limits,
        "leads": tuple(sorted({job for each in states for job in each.leads})),
        "debug_log": _figures([each.debug_log for each in states]),
        "store": _figures([each.store for each in states]),
    }
    return GroupState(**given, processes=tuple(states), silent=silent)


def _of_all(
    states: Sequence[ProcessState],
    part: Callable[[ProcessState], Iterable[T]],
    name: Callable[[T], str],
    merge: Callable[[Sequence[T]], T],
) -> list[T]:
    """Return what `part` returns of each, those of one name merged, in their order."""
    by_name: dict[str, list[T]] = {}
    for state in states:
        for each in part(state):
            by_name.setdefault(name(each), []).append(each)
    return [found[0] if len(found) == 1 else merge(found) for found in by_name.values()]


def _name(deployment: DeploymentState) -> str:
    return deployment.name


def _deployment(found: Sequence[DeploymentState]) -> DeploymentState:
    drained = [each.drained_s for each in found if each.drained_s is not None]
    return DeploymentState(
        name=found[0].name,
        state=max((each.state for each in found), key=lambda state: _STATES.get(state, 0)),
        states=_added(each.states for each in found),
        available=any(each.available for each in found),
        in_flight=sum(each.in_flight for each in found),
        attempts=sum(each.attempts for each in found),
        failures=_added(each.failures for each in found),
        consecutive_failures=max(each.consecutive_failures for each in found),
        first_event_ms=_average(found),
        opens=sum(each.opens for each in found),
        rejected=sum(each.rejected for each in found),
        retries_in_flight=sum(each.retries_in_flight for each in found),
        retry_budget_exhausted=sum(each.retry_budget_exhausted for each in found),
        drained_s=max(drained, default=None),
        keys=_keys(found),
    )


def _keys(found: Sequence[DeploymentState]) -> list[ProviderKeyState]:
    by_label: dict[str, ProviderKeyState] = {}
    for key in (key for each in found for key in each.keys):
        known = by_label.get(key.label, key)
        refused = known.refused or key.refused
        by_label[key.label] = ProviderKeyState(key.label, refused, max(known.rests_s, key.rests_s))
    return list(by_label.values())


def _average(found: Sequence[DeploymentState]) -> float | None:
    """Return the time to the first event, each process's by how many attempts it has made."""
    known = [(each.first_event_ms, max(1, each.attempts)) for each in found
             if each.first_event_ms is not None]  # fmt: skip
    if not known:
        return None
    return round(sum(ms * many for ms, many in known) / sum(many for _, many in known), 3)


def _slot(found: Sequence[SlotState]) -> SlotState:
    limits = [each.limit for each in found if each.limit is not None]
    return SlotState(
        of=found[0].of,
        held=sum(each.held for each in found),
        limit=_limit(found, limits) if len(limits) == len(found) else None,
        waiting=sum(each.waiting for each in found),
        shared=any(each.shared for each in found),
    )


def _limit(found: Sequence[SlotState], limits: Sequence[int]) -> int:
    """Return the limit of all: one that they share, or what each has by itself."""
    return max(limits) if any(each.shared for each in found) else sum(limits)


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)


def _figures(found: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Return counts added up; of what is no count, what the first has that has anything.

    `since` is when something began to be wrong: the earliest counts.
    """
    states = [each for each in found if each is not None]
    if not states:
        return None
    merged_: dict[str, Any] = {}
    for name in dict.fromkeys(name for each in states for name in each):
        values = [each[name] for each in states if each.get(name) is not None]
        if not values:
            merged_[name] = None
        elif name == "since":
            merged_[name] = min(values)
        elif all(isinstance(value, bool) for value in values):
            merged_[name] = any(values)
        elif all(isinstance(value, int | float) for value in values):
            merged_[name] = sum(values)
        else:
            merged_[name] = values[0]
    return merged_


def shown(state: GroupState) -> dict[str, Any]:
    """Return the state as pages show it: dicts, but for the configuration's status."""
    found = {name: getattr(state, name) for name in GroupState.__struct_fields__}
    for name in ("deployments", "slots", "entry", "cache", "processes", "hosts"):
        found[name] = msgspec.to_builtins(found[name])
    return {name: value for name, value in found.items() if value is not None}
