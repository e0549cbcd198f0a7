"""Sign-ins that failed, and who has to wait because of them.

An attempt is counted as a failure before its password is looked at, and the count is taken back
when it succeeds: a hundred attempts at the same time are then a hundred failures, and only the
first few of them are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, select

from ...core.sign_in import Counted, wait_after
from ..engine.schema import sign_in_failures as table
from ..engine.upsert import insert
from . import users

_MICROSECONDS: Final = 1_000_000
# Rows that are kept. Strangers decide how many there would be: each name they try has one.
MOST: Final = 50_000


class Subject(msgspec.Struct, frozen=True):
    """Whose failures are counted: `key` is a hash of an account's name or of an address."""

    key: str
    counted: Counted


def reserve(connection: Connection, subjects: Sequence[Subject], now: int) -> int:
    """Count an attempt of all `subjects`; return 0, or for how long they have to wait first.

    An attempt that has to wait is not counted: otherwise a program that goes on trying would keep
    the account's owner out for ever.
    """
    users.serialize(connection)
    _prune(connection, now)
    known = _rows(connection, subjects)
    # A longer wait than there is comes from a clock that was wrong.
    longest = round(wait_after(2**62, Counted.ACCOUNT) * _MICROSECONDS)
    waits = [row.locked_until - now for row in known.values() if row.locked_until > now]
    if wait := max((each for each in waits if each <= longest), default=0):
        return wait
    for subject in subjects:
        row = known.get(subject.key)
        failures = 1
        if row is not None and row.last > now - _forgotten_after(subject.counted):
            failures += row.failures
        wait = round(wait_after(failures, subject.counted) * _MICROSECONDS)
        _set(connection, subject, failures, now, now + wait if wait else 0)
    return 0


def succeed(connection: Connection, subjects: Sequence[Subject]) -> None:
    """Take an attempt back that has succeeded.

    The account's count begins anew. The address keeps its other failures: whoever has one account
    could otherwise guess at all others for ever.
    """
    users.serialize(connection)
    known = _rows(connection, subjects)
    for subject in subjects:
        row = known.get(subject.key)
        if row is None:
            continue
        if subject.counted is Counted.ACCOUNT or row.failures <= 1:
            connection.execute(delete(table).where(table.c.subject == subject.key))
        else:
            _set(connection, subject, row.failures - 1, row.last, 0)


def forget(connection: Connection, keys: Sequence[str]) -> None:
    """Forget all failures of subjects, so that they need not wait."""
    connection.execute(delete(table).where(table.c.subject.in_(keys)))


def _prune(connection: Connection, now: int) -> None:
    over = now - max(map(_forgotten_after, Counted))
    connection.execute(delete(table).where(table.c.last <= over))
    oldest = select(table.c.last).order_by(table.c.last.desc()).offset(MOST).limit(1)
    if (last := connection.scalar(oldest)) is not None:
        connection.execute(delete(table).where(table.c.last <= last))


def _forgotten_after(counted: Counted) -> int:
    return round(counted.forgotten_after * _MICROSECONDS)


def _rows(connection: Connection, subjects: Sequence[Subject]) -> dict[str, Any]:
    keys = [subject.key for subject in subjects]
    rows = connection.execute(select(table).where(table.c.subject.in_(keys)))
    return {row.subject: row for row in rows}


def _set(
    connection: Connection, subject: Subject, failures: int, last: int, locked_until: int
) -> None:
    values = {"failures": failures, "last": last, "locked_until": locked_until}
    connection.execute(
        insert(connection, table)
        .values(subject=subject.key, **values)
        .on_conflict_do_update(index_elements=["subject"], set_=values)
    )
