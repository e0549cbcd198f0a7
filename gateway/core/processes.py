"""The processes of a gateway, on all its hosts, and what operators tell them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

import msgspec

# Seconds between two signs of life, after which a process without one counts as silent, and after
# which it is not among the gateway's processes any more.
BEAT_EVERY: Final = 2.0
SILENT: Final = 6.0
GONE: Final = 15.0
# In what a process says of itself: its oldest requests under way, and how many at most.
UNDER_WAY: Final = "under_way"
MOST_UNDER_WAY: Final = 50
# For how many seconds a process or host may be drained: a week.
MOST_DRAIN: Final = 7 * 86_400

_HOST: Final = "host:"
_PROCESS: Final = "process:"


class ProcessRow(msgspec.Struct, frozen=True, kw_only=True):
    """`started` and `seen` are Unix seconds, `state` is what the process says of itself."""

    id: str
    host: str
    pid: int
    version: str
    started: float
    seen: float
    state: dict[str, Any]


class ProcessDrain(msgspec.Struct, frozen=True, kw_only=True):
    """An operator wants the `target` out of service until then, in Unix seconds.

    Targets are what `host_target` and `process_target` return.
    """

    target: str
    until: float
    by: str | None = None
    reason: str | None = None


def host_target(host: str) -> str:
    return _HOST + host


def process_target(id: str) -> str:
    return _PROCESS + id


def drain_of(
    drains: Iterable[ProcessDrain], host: str, process: str | None, now: float
) -> ProcessDrain | None:
    """Return the drain of a process, its host's or its own, that lasts longest.

    Without a `process` it is the host's.
    """
    targets = {host_target(host)}
    if process is not None:
        targets.add(process_target(process))
    found = [each for each in drains if each.target in targets and each.until > now]
    return max(found, key=lambda each: each.until, default=None)


class SharedRoll(Protocol):
    """Where all processes are known that share a server. Every method raises StoreFailed."""

    async def processes(self) -> tuple[list[ProcessRow], list[ProcessDrain]]:
        """Return all that have been heard of within `GONE`, and the drains."""
        ...

    async def drain(self, drain: ProcessDrain, seconds: float) -> bool:
        """Have its target drained for so many seconds; say whether it was drained before."""
        ...

    async def enable(self, target: str) -> bool:
        """End the drain of `target`, and say whether there was one."""
        ...

    async def cancel(self, request_id: str) -> None:
        """Have a request cancelled, wherever it is."""
        ...
