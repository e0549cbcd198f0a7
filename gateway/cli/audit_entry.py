"""Write to the audit log what is done at the command line."""

from __future__ import annotations

import os
import pwd
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import load
from ..config.schema import Store
from ..config.sources.state import find_state
from ..core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult
from .store import opened

if TYPE_CHECKING:
    from ..control.changes import AuditNote
    from ..store.control.generations import Transaction


def record_action(file: Path, event: AuditEvent) -> None:
    """Add `event` to the audit log of the configuration `file`.

    If the database cannot be used now, the event goes to a journal, which the next gateway that
    runs on the database writes to it. Never fails: if that fails too, stderr says so.
    """
    try:
        settings = load.store(file)
        if not settings.url:
            return
        try:
            _append(file, event)
        except Exception:  # noqa: BLE001  # whatever is wrong with it, there is the journal
            _write_to_journal(settings, find_state(file) or file.absolute().parent, event)
    except Exception as exc:  # noqa: BLE001  # what was to be recorded has been done
        reason = next(iter(str(exc).splitlines()), type(exc).__name__)
        sys.stderr.write(f"warning: this is not in the audit log: {reason}\n")


def by_operator(
    action: AuditAction, result: AuditResult, target: str, **details: Any
) -> AuditEvent:
    """Return the event of an action by the user at the command line."""
    return AuditEvent(
        time=time.time(),
        action=action,
        result=result,
        actor_kind=ActorKind.OPERATOR,
        actor=operator(),
        target=target,
        details=details,
    )


def append_note(connection: Transaction, note: AuditNote | None) -> None:
    """Add what an operator has changed in this transaction to the audit log; None: nothing."""
    # Imported late: it takes longer than all the rest of a command.
    from ..store.writing import chain

    if note is not None:
        event = by_operator(note.action, AuditResult.OK, note.target, **note.details)
        chain.append(connection, [event])


def _append(file: Path, event: AuditEvent) -> None:
    # Imported late: it takes longer than all the rest of a command.
    from ..store.writing import chain

    # The database is neither created nor migrated here: a file that belongs to the wrong user would
    # stop the gateway.
    with opened(file) as database:
        database.write_now(lambda connection: chain.append(connection, [event]))


def _write_to_journal(settings: Store, base: Path, event: AuditEvent) -> None:
    from ..store.writing.batch import Batch, encode
    from ..store.writing.journal import Journal

    journal = Journal.create(base / settings.journal, secrets.token_hex(8))
    try:
        journal.append(1, encode(Batch(1, [], [event])), settings.journal_max_bytes)
    finally:
        journal.close()


def operator() -> str:
    """Return the name of the user at the command line, by the process's real user id.

    The environment, which `getpass.getuser` asks first, is the user's to write.
    """
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        # A container's user often has a number only.
        return str(uid)
