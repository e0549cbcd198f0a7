"""Capturing of one key for a while, in both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from gateway.control import capturing, grants
from gateway.control.capturing import MOST_WINDOWS, WindowChange
from gateway.control.changes import Actor
from gateway.core.records.audit import AuditAction
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.store.control.capture_windows import CaptureWindow, open_windows
from gateway.store.control.generations import CAPTURE_WINDOWS, Transaction, current
from gateway.store.control.grants import valid_grants
from gateway.store.engine.database import Database

NOW: Final = 1_790_000_000.0
WHO: Final = Actor("root", NOW)


def do(database: Database, work: Callable[[Transaction], WindowChange]) -> WindowChange:
    return database.write_now(work)


def start(database: Database, name: str = "app", actor: Actor = WHO) -> WindowChange:
    return do(
        database,
        lambda c: capturing.start(c, name, 60, "why", lambda each: each != "none", actor),
    )


def windows(database: Database, now: float = NOW) -> list[CaptureWindow]:
    return database.read_now(lambda connection: open_windows(connection, now))


def test_a_window_and_its_end(database: Database) -> None:
    change = start(database)
    expected = CaptureWindow(token="app", until=NOW + 60, opened_by="root", reason="why")
    assert change.window == expected
    assert windows(database) == [expected]
    assert windows(database, NOW + 60) == []
    assert change.note is not None
    assert change.note.action is AuditAction.CAPTURING_STARTED
    assert change.note.details == {"for_s": 60, "reason": "why", "old": {"capturing": False}}
    again = start(database, actor=Actor("eve", NOW + 20))
    assert again.note is not None
    assert again.note.details["old"] == {
        "capturing": True, "left_s": 40, "by": "root", "reason": "why"
    }  # fmt: skip
    stopped = do(database, lambda c: capturing.stop(c, "app", Actor("eve", NOW + 30)))
    assert stopped.note is not None
    assert stopped.note.details["old"]["left_s"] == 50
    assert windows(database) == []
    assert do(database, lambda c: capturing.stop(c, "app", WHO)).note is None
    assert database.read_now(current)[CAPTURE_WINDOWS] == 4


def test_what_cannot_be(database: Database) -> None:
    with pytest.raises(NotFound, match="'none'"):
        start(database, "none")
    with pytest.raises(InvalidRequest, match="printable"):
        do(database, lambda c: capturing.start(c, "a", 60, "a\nb", lambda _: True, WHO))
    for number in range(MOST_WINDOWS):
        start(database, f"app-{number}")
    with pytest.raises(Conflict, match="stop one"):
        start(database)
    # What is over makes room.
    start(database, actor=Actor("root", NOW + 61))
    assert [each.token for each in windows(database, NOW + 61)] == ["app"]


def test_a_grant_is_kept_as_a_hash_and_ends(database: Database) -> None:
    made = database.write_now(lambda c: grants.create(c, "app", lambda _: True, WHO))
    assert made.secret.startswith("sk-gw-grant-")
    assert database.read_now(lambda c: valid_grants(c, NOW)) == [made.grant]
    assert database.read_now(lambda c: valid_grants(c, NOW + grants.LASTS)) == []
    assert made.secret not in repr(made.grant) + repr(made.note)
    with pytest.raises(NotFound):
        database.write_now(lambda c: grants.create(c, "none", lambda _: False, WHO))
    for _ in range(19):
        database.write_now(lambda c: grants.create(c, "app", lambda _: True, WHO))
    with pytest.raises(Conflict, match="20 grants"):
        database.write_now(lambda c: grants.create(c, "app", lambda _: True, WHO))
    other = Actor("eve", NOW)
    database.write_now(lambda c: grants.create(c, "app", lambda _: True, other))
