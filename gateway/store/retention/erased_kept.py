"""Deletes what callers had kept: responses, whose objects are whose, and what could not be stored.

A kept response is the whole of what was asked and answered. It goes with its request; one whose
request is off the record already is known by its key, or by whom its own members name.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Connection, delete, select, tuple_

from ...core.capture.named_users import named_users
from ..engine.control_tables import cancellations
from ..engine.kept_tables import kept_objects, kept_responses
from ..writing.rejected import NAME
from .erasure import Erased, ErasureSubject

if TYPE_CHECKING:
    from ..engine.database import Database

_BATCH: Final = 200
_LINE: Final = msgspec.json.Decoder(dict[str, Any])
_of: Final = kept_responses.c
_Key = tuple[str, str]


def erase_kept(
    database: Database, subject: ErasureSubject, ids: Collection[str], erased: Erased
) -> None:
    """Delete the responses of requests with these `ids`, and others of `subject`.

    Raises StoreUnavailable; `erased` then says what was deleted by then.
    """
    known = sorted(ids)
    for start in range(0, len(known), _BATCH):
        part = known[start : start + _BATCH]
        erased.responses += database.write_now(partial(_of_requests, part))
    if subject.kind == "token":
        responses, objects = database.write_now(partial(_of_token, subject.value))
        erased.responses += responses
        erased.objects += objects
    elif subject.kind == "user":
        after: _Key | None = ("", "")
        while after is not None:
            count, after = database.write_now(partial(_of_user, subject.value, after))
            erased.responses += count


def _of_requests(ids: list[str], connection: Connection) -> int:
    connection.execute(delete(cancellations).where(cancellations.c.request_id.in_(ids)))
    return connection.execute(delete(kept_responses).where(_of.request_id.in_(ids))).rowcount


def _of_token(name: str, connection: Connection) -> tuple[int, int]:
    responses = connection.execute(delete(kept_responses).where(_of.token == name))
    objects = connection.execute(delete(kept_objects).where(kept_objects.c.owner == name))
    return responses.rowcount, objects.rowcount


def _of_user(user: str, after: _Key, connection: Connection) -> tuple[int, _Key | None]:
    """Delete what names `user` of the responses behind `after`; return how many, and the last."""
    chosen = (
        select(_of.owner, _of.id, _of.response)
        .where(tuple_(_of.owner, _of.id) > after)
        .order_by(_of.owner, _of.id)
        .limit(_BATCH)
    )
    rows = connection.execute(chosen).all()
    theirs = [(row[0], row[1]) for row in rows if user in named_users(zlib.decompress(row[2]))]
    if theirs:
        connection.execute(delete(kept_responses).where(tuple_(_of.owner, _of.id).in_(theirs)))
    return len(theirs), (rows[-1][0], rows[-1][1]) if rows else None


def erase_rejected(
    folder: Path, subject: ErasureSubject, ids: Collection[str], erased: Erased
) -> None:
    """Blank the lines of records that could not be stored. Raises OSError.

    In place: a gateway that runs may append to the file meanwhile.
    """
    try:
        file = open(folder / NAME, "r+b")  # noqa: SIM115  # closed below
    except FileNotFoundError:
        return
    with file:
        at = 0
        for line in file.read().splitlines(keepends=True):
            if _is_of(line, subject, ids):
                file.seek(at)
                file.write(b" " * (len(line) - 1))
                erased.rejected += 1
            at += len(line)
        file.flush()
        os.fsync(file.fileno())


def _is_of(line: bytes, subject: ErasureSubject, ids: Collection[str]) -> bool:
    try:
        item = _LINE.decode(line).get("item") if line.endswith(b"\n") else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(item, dict) and (item.get("request_id") in ids or subject.is_of(item))
