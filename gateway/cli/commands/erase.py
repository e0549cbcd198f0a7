"""`gateway erase`: delete what is on record of a user, a request or a key."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ...config import load
from ...config.paths import config_path
from ...config.schema import DebugLog, Log
from ...config.sources.state import find_state
from ...core.records.audit import AuditAction, AuditResult
from ...errors import ConfigError, StoreUnavailable
from ..audit_entry import by_operator, record_action
from ..options import ConfigFile
from ..store import opened
from .check import report

if TYPE_CHECKING:
    from ...store.retention.erasure import Erased, ErasureSubject


def erase(
    *,
    user: str | None = None,
    request: str | None = None,
    token: str | None = None,
    config: ConfigFile = None,
) -> int:
    """Delete what is on record of a user, a request or a key: rows, debug files and journals.

    Roll-ups stay, which name no user, and so does the audit log.

    Parameters
    ----------
    user
        Whose requests: the name that they were sent with, as `user` or the like.
    request
        The id of one request, as in the header x-request-id of its answer.
    token
        The name of a key, of which all requests are deleted.
    """
    # Imported late, as it takes longer than the rest of the command line.
    from ...store.retention.erasure import Erased, ErasureSubject

    given = {"user": user, "request_id": request, "token": token}
    chosen = [
        ErasureSubject(kind, value)  # type: ignore[arg-type]  # the keys above
        for kind, value in given.items()
        if value
    ]
    if len(chosen) != 1:
        sys.stderr.write("error: give one of --user, --request and --token\n")
        return 2
    file, subject, erased = config or config_path(), chosen[0], Erased()
    ended = AuditResult.FAILED
    try:
        _erase(file, subject, erased)
        ended = AuditResult.OK
    except (ConfigError, StoreUnavailable) as exc:
        report(exc if isinstance(exc, ConfigError) else ConfigError([exc.message]))
        return 1
    finally:
        details = msgspec.structs.asdict(erased)
        event = by_operator(AuditAction.ERASED, ended, _named(subject), **details)
        record_action(file, event)
    sys.stdout.write(_said(erased))
    if erased.in_use:
        sys.stderr.write(
            f"{erased.in_use} journals belong to a gateway that runs and holds requests that are"
            " not in the database yet: run this again once they are\n"
        )
        return 1
    return 0


def _erase(file: Path, subject: ErasureSubject, erased: Erased) -> None:
    from ...captures.erasure import erase_captures
    from ...store.retention.erased_kept import erase_kept, erase_rejected
    from ...store.retention.erasure import erase_from_journals, erase_rows

    folder = find_state(file) or file.absolute().parent
    ids: set[str] = set()
    if subject.kind == "request_id":
        ids.add(subject.value)
    try:
        # Journals first: a gateway may write one to the database meanwhile, never the reverse.
        subjects = _as_kept(file, subject)
        for each in subjects:
            erase_from_journals(folder / load.store(file).journal, each, erased, ids.add)
        with opened(file) as database:
            for each in subjects:
                erase_rows(database, each, erased, ids.add)
            erase_kept(database, subject, ids, erased)
        for each in subjects:
            erase_rejected(folder / load.store(file).journal, each, ids, erased)
        erased.captures = erase_captures(
            folder / load.table(file, DebugLog).folder,
            requests=ids,
            token=subject.value if subject.kind == "token" else None,
            user=subject.value if subject.kind == "user" else None,
        )
    except OSError as exc:
        raise ConfigError([f"{exc.filename or folder}: {exc.strerror}"]) from exc


def _said(erased: Erased) -> str:
    text = (
        f"deleted {erased.requests} requests, {erased.attempts} attempts, {erased.captures} debug"
        f" files, {erased.journaled} requests in journals"
    )
    more = {
        "kept responses": erased.responses,
        "ids of objects, which their providers still have": erased.objects,
        "records that could not be stored": erased.rejected,
    }
    return "".join([text, *(f", {count} {name}" for name, count in more.items() if count), "\n"])


def _as_kept(file: Path, subject: ErasureSubject) -> list[ErasureSubject]:
    """Return `subject` and, where users are kept as hashes, its hash: that may be a new setting."""
    if subject.kind != "user":
        return [subject]
    kept = load.table(file, Log).minimising.user(subject.stored)
    if kept is None or kept == subject.stored:
        return [subject]
    return [subject, msgspec.structs.replace(subject, value=kept)]


def _named(subject: ErasureSubject) -> str:
    """Return what the audit log says: of a user no more than is needed to recognise the name."""
    if subject.kind != "user":
        return f"{subject.kind} {subject.value}"
    return f"user sha256:{hashlib.sha256(subject.value.encode()).hexdigest()}"
