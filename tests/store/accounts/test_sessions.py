"""Sessions in the database: when they are found, and when not any more."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import Connection

from gateway.store.accounts import sessions, users
from gateway.store.accounts.sessions import OpenSession, StoredSession
from gateway.store.accounts.users import User
from gateway.store.control import grants
from gateway.store.control.generations import GRANTS, current
from gateway.store.control.grants import KeyGrant
from gateway.store.engine.database import Database

IDLE = 100
HASH = "hash"
SESSION = StoredSession(
    digest="d1",
    user_id="u1",
    created=1000,
    seen=1000,
    expires=2000,
    client_ip=None,
    user_agent=None,
)


def user(database: Database) -> User:
    made = database.write_now(
        lambda connection: users.create(
            connection, user_id="u1", name="ann", role="viewer", password="hash", now=1
        )
    )
    assert isinstance(made, User)
    return made


def begin(
    database: Database, session: StoredSession = SESSION, password: str = HASH
) -> OpenSession | None:
    return database.write_now(
        lambda connection: sessions.begin(connection, session, password=password, idle=IDLE)
    )


def find(database: Database, now: int, digest: str = "d1") -> OpenSession | None:
    return database.read_now(
        lambda connection: sessions.find(connection, digest, now=now, idle=IDLE)
    )


def test_a_session_is_found_until_it_is_over(database: Database) -> None:
    user(database)
    assert begin(database) == OpenSession(session=SESSION, name="ann", role="viewer")
    assert find(database, 1099) == OpenSession(session=SESSION, name="ann", role="viewer")
    assert find(database, 1100) is None
    assert find(database, 1050, "d2") is None
    database.write_now(lambda connection: sessions.touch(connection, "d1", 1950))
    # One that comes late does not turn the time back.
    database.write_now(lambda connection: sessions.touch(connection, "d1", 1500))
    assert find(database, 1999) is not None
    assert find(database, 2000) is None


def test_no_session_of_a_password_that_is_not_so_any_more(database: Database) -> None:
    assert begin(database) is None
    user(database)
    assert begin(database, password="older hash") is None
    database.write_now(lambda connection: users.change(connection, "u1", now=2, role="admin"))
    database.write_now(lambda connection: users.change(connection, "u1", now=2, password="new"))
    assert begin(database) is None
    assert begin(database, password="new") is not None


def test_a_disabled_user_has_no_session(database: Database) -> None:
    user(database)
    begin(database)
    database.write_now(lambda connection: users.change(connection, "u1", now=2, disabled=True))
    assert find(database, 1001) is None
    assert begin(database) is None


def test_ends(database: Database) -> None:
    user(database)
    for number in range(3):
        begin(database, msgspec.structs.replace(SESSION, digest=f"d{number}"))
    assert [database.write_now(lambda c: sessions.end(c, "d0")) for _ in range(2)] == [True, False]
    assert database.write_now(lambda c: sessions.end_all(c, "u1")) == 2
    assert find(database, 1001) is None


ENDING: dict[str, Callable[[Connection], object]] = {
    "signed out": lambda connection: sessions.end(connection, "d1"),
    "signed out everywhere": lambda connection: sessions.end_all(connection, "u1"),
    "disabled": lambda connection: users.change(connection, "u1", now=2, disabled=True),
    "a new password": lambda connection: users.change(connection, "u1", now=2, password="new"),
    "removed": lambda connection: users.remove(connection, "u1"),
}


@pytest.mark.parametrize("how", ENDING)
def test_what_somebody_was_granted_ends_with_their_sessions(database: Database, how: str) -> None:
    user(database)
    begin(database)
    mine, other = (
        KeyGrant(digest=bytes([number]), token="k", until=100.0, granted_to=name)
        for number, name in enumerate(("ann", "eve"))
    )
    for each in (mine, other):
        database.write_now(lambda connection, each=each: grants.add(connection, each, 1.0))  # type: ignore[misc]
    database.write_now(lambda connection: users.change(connection, "u1", now=2, role="operator"))
    assert database.read_now(lambda c: len(grants.valid_grants(c, 1.0))) == 2
    before = database.read_now(current).get(GRANTS, 0)
    database.write_now(ENDING[how])
    assert database.read_now(lambda c: grants.valid_grants(c, 1.0)) == [other]
    # Which every process looks at each second.
    assert database.read_now(current)[GRANTS] == before + 1
