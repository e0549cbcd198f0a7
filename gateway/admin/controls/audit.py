"""A change with its entry in the audit log, written in the transaction that makes the change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from ...control.changes import Actor, AuditNote
from ...core.records.audit import AuditResult
from ...store.control.generations import Transaction
from ...store.writing import chain
from ..request import AdminRequest


class NotedChange(Protocol):
    """What an operation returns; without a `note` everything is as before."""

    @property
    def note(self) -> AuditNote | None: ...


C = TypeVar("C", bound=NotedChange)


async def recorded(request: AdminRequest, work: Callable[[Transaction, Actor], C]) -> C:
    """Do `work` and put it into the audit log, in one transaction."""
    actor = Actor(request.who, request.now)

    def both(connection: Transaction) -> C:
        change = work(connection, actor)
        if change.note is not None:
            audit_change(connection, request, change.note)
        return change

    return await request.write(both)


async def changed(request: AdminRequest, work: Callable[[Transaction, Actor], C]) -> C:
    """Do `work` and put it into the audit log; this process follows at once."""
    change = await recorded(request, work)
    if request.resources.look is not None:
        await request.resources.look()
    return change


def audit_change(connection: Transaction, request: AdminRequest, note: AuditNote) -> None:
    """Add the entry. Last of all in its transaction, since others wait for the chain's lock."""
    event = request.event(note.action, AuditResult.OK, note.target, **note.details)
    chain.append(connection, [event])
