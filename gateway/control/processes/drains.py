"""Processes and hosts by hand: take one out of service for a while, put it back.

Each operation is one transaction of its caller's, as in `keys.py`. A drain ends by itself.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ...core.processes import MOST_DRAIN, ProcessDrain
from ...core.records.audit import AuditAction
from ...errors import InvalidRequest
from ...store.control import process_drains
from ...store.control.generations import Transaction
from ..changes import Actor, AuditNote

DEFAULT_DRAIN: Final = 3600.0
_LONGEST: Final = 200


class ProcessChange(NamedTuple):
    """What holds for a process or host after a change. Without a `note` it is as before."""

    drain: ProcessDrain | None
    note: AuditNote | None


def drain_wanted(target: str, seconds: float, reason: str, actor: Actor) -> ProcessChange:
    """Return the drain of `target` that an operator wants. Raises InvalidRequest."""
    if not 1 <= seconds <= MOST_DRAIN:
        raise InvalidRequest(f"for must be from 1 to {MOST_DRAIN} seconds.", param="for")
    if not reason.isprintable() or len(reason) > _LONGEST:
        message = f"reason must be of printable characters, {_LONGEST} at most."
        raise InvalidRequest(message, param="reason")
    wanted = ProcessDrain(
        target=target, until=actor.now + seconds, by=actor.name, reason=reason or None
    )
    details = {"for_s": seconds, "reason": reason}
    return ProcessChange(wanted, AuditNote(AuditAction.PROCESS_DRAINED, target, details))


def enabled_note(target: str, was_drained: bool) -> ProcessChange:
    """Return what the end of a drain is, if there was one."""
    note = AuditNote(AuditAction.PROCESS_ENABLED, target, {}) if was_drained else None
    return ProcessChange(None, note)


def drain(
    connection: Transaction, target: str, seconds: float, reason: str, actor: Actor
) -> ProcessChange:
    """Have a process or a host not ready for so many seconds. Raises InvalidRequest."""
    change = drain_wanted(target, seconds, reason, actor)
    assert change.drain is not None
    process_drains.put(connection, change.drain, actor.now)
    return change


def enable(connection: Transaction, target: str, actor: Actor) -> ProcessChange:
    """Have it ready again."""
    return enabled_note(target, process_drains.remove(connection, target, actor.now))
