"""The audit log's entry of a change, written in the transaction that makes the change."""

from __future__ import annotations

from ...control.changes import AuditNote
from ...core.records.audit import AuditResult
from ...store.control.generations import Transaction
from ...store.writing import chain
from ..request import AdminRequest


def audit_change(connection: Transaction, request: AdminRequest, note: AuditNote) -> None:
    """Add the entry. Last of all in its transaction, since others wait for the chain's lock."""
    event = request.event(note.action, AuditResult.OK, note.target, **note.details)
    chain.append(connection, [event])
