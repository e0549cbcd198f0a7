"""Users in the database: versions, and the admin that must stay."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.store.accounts import users
from gateway.store.accounts.users import Refused, User, UserChange
from gateway.store.engine.database import Database


def create(database: Database, name: str, role: str = "admin") -> User | Refused:
    return database.write_now(
        lambda connection: users.create(
            connection, user_id=f"id-{name}", name=name, role=role, password="hash", now=1
        )
    )


def change(database: Database, name: str, **what: Any) -> UserChange | Refused:
    return database.write_now(
        lambda connection: users.change(connection, f"id-{name}", now=2, **what)
    )


def remove(database: Database, name: str, version: int | None = None) -> UserChange | Refused:
    return database.write_now(
        lambda connection: users.remove(connection, f"id-{name}", version=version)
    )


def test_what_is_made_is_found(database: Database) -> None:
    assert not database.read_now(users.exist)
    made = create(database, "ann")
    assert isinstance(made, User)
    assert create(database, "ann") is Refused.TAKEN
    assert database.read_now(users.exist)
    assert database.read_now(lambda c: users.by_name(c, "ann")) == made
    assert database.read_now(lambda c: users.by_id(c, "id-ann")) == made
    assert database.read_now(lambda c: users.with_password(c, "ann")) == (made, "hash")
    assert database.read_now(lambda c: users.with_password(c, "bob")) is None
    assert database.read_now(lambda c: users.by_name(c, "Ann")) is None


def test_a_change_has_old_and_new(database: Database) -> None:
    create(database, "root")
    create(database, "ann", "viewer")
    done = change(database, "ann", role="operator", disabled=True, version=1)
    assert isinstance(done, UserChange)
    assert done.differences == (
        {"role": "viewer", "disabled": False},
        {"role": "operator", "disabled": True},
    )
    assert (done.after.version, done.after.changed) == (2, 2)
    done = change(database, "ann", password="other")
    assert isinstance(done, UserChange)
    assert done.differences == ({}, {})
    assert done.after.password_changed == 2


@pytest.mark.parametrize("what", [{"role": "viewer"}, {"disabled": True}])
def test_the_last_admin_stays(database: Database, what: dict[str, Any]) -> None:
    create(database, "root")
    create(database, "off")
    create(database, "ann", "operator")
    assert isinstance(change(database, "off", disabled=True), UserChange)
    assert change(database, "root", **what) is Refused.LAST_ADMIN
    assert remove(database, "root") is Refused.LAST_ADMIN
    # Neither of these takes the role away.
    assert isinstance(change(database, "root", role="admin", password="x"), UserChange)
    assert isinstance(change(database, "ann", role="admin"), UserChange)
    assert isinstance(change(database, "root", **what), UserChange)
    assert remove(database, "ann") is Refused.LAST_ADMIN


def test_versions(database: Database) -> None:
    create(database, "root")
    create(database, "ann", "viewer")
    assert change(database, "ann", version=2, role="operator") is Refused.STALE
    assert remove(database, "ann", version=2) is Refused.STALE
    assert change(database, "nobody", role="viewer") is Refused.ABSENT
    assert remove(database, "nobody") is Refused.ABSENT
    assert isinstance(remove(database, "ann", version=1), UserChange)
