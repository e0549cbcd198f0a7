"""Counting failures: what is forgotten, what is kept, and clocks that were wrong."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from gateway.core.sign_in import Counted
from gateway.store.accounts import failures
from gateway.store.accounts.failures import Subject
from gateway.store.engine.database import Database
from gateway.store.engine.schema import sign_in_failures

ACCOUNT, ADDRESS = Subject("account:x", Counted.ACCOUNT), Subject("address:y", Counted.ADDRESS)
SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
NOW = 1_800_000_000 * SECOND


def reserve(database: Database, now: int, *subjects: Subject) -> int:
    return database.write_now(
        lambda connection: failures.reserve(connection, subjects or (ACCOUNT, ADDRESS), now)
    )


def counts(database: Database) -> dict[str, int]:
    query = select(sign_in_failures.c.subject, sign_in_failures.c.failures)
    return database.read_now(
        lambda connection: {row.subject: row.failures for row in connection.execute(query)}
    )


def test_who_has_to_wait_is_not_counted(database: Database) -> None:
    assert [reserve(database, NOW) for _ in range(7)] == [0] * 5 + [30 * SECOND] * 2
    assert counts(database) == {"account:x": 5, "address:y": 5}
    assert reserve(database, NOW + 29 * SECOND) == SECOND
    assert reserve(database, NOW + 30 * SECOND) == 0


def test_failures_are_forgotten(database: Database) -> None:
    for _ in range(3):
        reserve(database, NOW)
    reserve(database, NOW + HOUR)
    # Those of the address after an hour, those of the account after a day.
    assert counts(database) == {"account:x": 4, "address:y": 1}
    reserve(database, NOW + HOUR + DAY, ADDRESS)
    assert counts(database) == {"address:y": 1}


def test_a_success_is_taken_back(database: Database) -> None:
    for _ in range(3):
        reserve(database, NOW)
    database.write_now(lambda connection: failures.succeed(connection, (ACCOUNT, ADDRESS)))
    assert counts(database) == {"address:y": 2}
    database.write_now(lambda connection: failures.succeed(connection, (ACCOUNT, ADDRESS)))
    database.write_now(lambda connection: failures.succeed(connection, (ACCOUNT, ADDRESS)))
    assert counts(database) == {}


def test_forgetting(database: Database) -> None:
    for _ in range(6):
        reserve(database, NOW)
    database.write_now(lambda connection: failures.forget(connection, ["account:x"]))
    assert reserve(database, NOW) == 0


def test_a_clock_that_was_wrong_locks_nobody_out_for_years(database: Database) -> None:
    for _ in range(5):
        reserve(database, NOW + 1000 * DAY)
    assert reserve(database, NOW) == 0


def test_rows_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MOST", 10)
    for number in range(30):
        subject = Subject(f"account:{number}", Counted.ACCOUNT)
        reserve(database, NOW + number, subject)
    found = database.read_now(
        lambda connection: connection.scalar(select(func.count()).select_from(sign_in_failures))
    )
    assert found is not None
    assert found <= 11
    assert "account:29" in counts(database)
