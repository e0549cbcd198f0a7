"""Deletes what is on record of one user, one request or one key, in the database and in journals.

Roll-ups and the audit log stay: the ones name no user and no request, and in the other a row that
is gone would be a row that somebody removed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from sqlalchemy import Connection, delete, select

from ...core.records.shown_name import shortened
from ..engine.schema import attempts, requests
from ..writing.journal import Journal, JournalFrame, framed
from ..writing.rows import UNSTORABLE

if TYPE_CHECKING:
    from ..engine.database import Database

_BATCH: Final = 500
_ALL: Final = 2**62
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder().decode

# As the columns are called.
Kind = Literal["user", "request_id", "token"]


class Erased(msgspec.Struct):
    """How much was deleted. `in_use` are journals of a running gateway, which were left alone."""

    requests: int = 0
    attempts: int = 0
    journaled: int = 0
    captures: int = 0
    # Kept responses, ids of objects that providers keep, and records that could not be stored.
    responses: int = 0
    objects: int = 0
    rejected: int = 0
    in_use: int = 0


class ErasureSubject(msgspec.Struct, frozen=True):
    """Whose records: those with `value` in the column `kind`."""

    kind: Kind
    value: str

    @property
    def stored(self) -> str:
        """Return the value as records have it."""
        value = shortened(self.value) if self.kind == "user" else self.value
        return UNSTORABLE.sub("\ufffd", value)

    def is_of(self, record: Mapping[str, Any]) -> bool:
        return record.get(self.kind) in (self.value, self.stored)


def erase_rows(
    database: Database, subject: ErasureSubject, erased: Erased, found: Callable[[str], object]
) -> None:
    """Delete from the database, in batches; `found` gets the id of each request.

    Raises StoreUnavailable; `erased` then says what was deleted by then.
    """
    after = -1
    while True:
        ids, count = database.write_now(partial(_batch, subject, after))
        if not ids:
            return
        after = ids[-1][0]
        for _, request_id in ids:
            found(request_id)
        erased.requests += len(ids)
        erased.attempts += count


def _batch(
    subject: ErasureSubject, after: int, connection: Connection
) -> tuple[list[tuple[int, str]], int]:
    """Delete some requests and their attempts; return the requests' ids, and how many attempts."""
    chosen = (
        select(requests.c.id, requests.c.request_id)
        .where(requests.c[subject.kind] == subject.stored, requests.c.id > after)
        .order_by(requests.c.id)
        .limit(_BATCH)
    )
    rows = [(row[0], row[1]) for row in connection.execute(chosen)]
    if not rows:
        return [], 0
    ids = [id for id, _ in rows]
    gone = connection.execute(delete(attempts).where(attempts.c.request.in_(ids)))
    connection.execute(delete(requests).where(requests.c.id.in_(ids)))
    return rows, gone.rowcount


def erase_from_journals(
    folder: Path, subject: ErasureSubject, erased: Erased, found: Callable[[str], object]
) -> None:
    """Take the records out of journals that were left behind. Raises OSError."""
    for path in sorted(folder.glob("*.journal")):
        journal = Journal.adopt(path)
        if journal is None:
            # Of a gateway that runs; empty ones hold nothing.
            with suppress(FileNotFoundError):
                erased.in_use += path.stat().st_size > 0
            continue
        try:
            _rewrite(journal, subject, erased, found)
        finally:
            journal.close()


def _rewrite(
    journal: Journal, subject: ErasureSubject, erased: Erased, found: Callable[[str], object]
) -> None:
    kept: list[JournalFrame] = []
    gone = 0
    for frame in journal.read(_ALL):
        try:
            batch: Any = _DECODE(frame.payload)
            records = [each for each in batch["records"] if not subject.is_of(each)]
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            # Of a form that is not read here; the writer sets it aside.
            kept.append(frame)
            continue
        for each in batch["records"]:
            if subject.is_of(each):
                found(str(each.get("request_id", "")))
        if len(records) == len(batch["records"]):
            kept.append(frame)
            continue
        gone += len(batch["records"]) - len(records)
        # The number stays, so that the writer does not take the batch for a lost one.
        kept.append(JournalFrame(frame.number, _ENCODE({**batch, "records": records})))
    if gone:
        _replace(journal.path, b"".join(framed(each) for each in kept))
        erased.journaled += gone


def _replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of a journal at once: half of one would lose the rest."""
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        # Nobody takes it before it is whole.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    finally:
        os.close(descriptor)
