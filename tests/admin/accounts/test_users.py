"""Users over HTTP: made, changed, removed; what is refused, and what is on record of it."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from gateway.core.records.audit import AuditAction, AuditResult
from gateway.store.engine.database import Database
from tests.api.asgi import Server

from ..world import World
from .people import HASH, PASSWORD, Browser, new_user, signed_in

pytestmark = pytest.mark.slow

OTHER = "quite another password"
NEW = {"name": "Bob", "password": OTHER, "role": "operator"}


async def admin(world: World, database: Database) -> Browser:
    new_user(database, "root", "admin")
    return await signed_in(world, "root")


def tag(server: Server) -> dict[bytes, bytes]:
    return {b"if-match": server.headers[b"etag"]}


def error(server: Server) -> tuple[int, str]:
    return server.status, server.json["error"]["code"]


async def test_a_user_is_made_and_signs_in(database: Database) -> None:
    world = World(database)
    root = await admin(world, database)
    made = await root.call("users", "POST", NEW)
    assert made.status == 201
    user = made.json
    assert {name: user[name] for name in ("name", "role", "disabled", "version")} == {
        "name": "bob", "role": "operator", "disabled": False, "version": 1
    }  # fmt: skip
    assert made.headers[b"etag"] == b'"1"'
    assert set(user) == {"id", "name", "role", "disabled", "version", "created", "changed",
                         "password_changed", "last_sign_in"}  # fmt: skip
    assert user["last_sign_in"] is None
    assert (await Browser(world).sign_in("bob", OTHER)).status == 200
    shown = await root.call(f"users/{user['id']}")
    assert shown.json["last_sign_in"] >= user["created"]
    (event,) = world.seen(AuditAction.USER_CREATED)
    assert (event.actor, event.target, event.details) == (
        "root",
        "bob",
        {"new": {"role": "operator"}},
    )
    said = repr(world.events) + str(made.body + shown.body)
    assert not any(secret in said for secret in (PASSWORD, OTHER, "argon2", HASH))


async def test_a_new_user_has_the_least_role(database: Database) -> None:
    world = World(database)
    made = await world.call(
        "users", "POST", body=b'{"name":"bob","password":"%s"}' % OTHER.encode()
    )
    assert made.json["role"] == "viewer"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "with space"}, "name"),
        ({"name": "änn"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "../me"}, "name"),
        ({"name": "a\0"}, "name"),
        ({"name": 7}, "name"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 300}, "password"),
        ({"password": "aaaaaaaaaaaaaaaa"}, "password"),
        ({"password": " " * 20}, "password"),
        ({"name": "robert.tables", "password": "Robert.Tables"}, "password"),
        ({"role": "root"}, "role"),
        ({"role": "metrics"}, "role"),
        ({"admin": True}, "admin"),
    ],
)
async def test_what_no_user_can_be(
    sqlite_database: Database, change: dict[str, Any], param: str
) -> None:
    world = World(sqlite_database)
    root = await admin(world, sqlite_database)
    server = await root.call("users", "POST", {**NEW, **change})
    assert error(server) == (400, "invalid_request")
    assert server.json["error"]["param"] == param
    assert world.seen(AuditAction.USER_CREATED) == []


async def test_a_name_is_taken_once(database: Database) -> None:
    world = World(database)
    root = await admin(world, database)
    statuses: list[int] = []

    async def make(name: str) -> None:
        statuses.append((await root.call("users", "POST", {**NEW, "name": name})).status)

    async with trio.open_nursery() as nursery:
        for name in ("bob", "BOB", "Bob", " bob "):
            nursery.start_soon(make, name)
    assert sorted(statuses) == [201, 409, 409, 409]
    assert error(await root.call("users", "POST", NEW)) == (409, "name_taken")


async def test_pages_of_users(database: Database) -> None:
    world = World(database)
    root = await admin(world, database)
    for name in "dbeac":
        new_user(database, name)
    names, cursor = [], ""
    for _ in range(4):
        page = (await root.call(f"users?limit=2&cursor={cursor}")).json
        names.append([row["name"] for row in page["rows"]])
        # One that is made meanwhile moves nothing.
        new_user(database, f"a{len(names)}")
        if (cursor := page["next"]) is None:
            break
    assert names == [["a", "b"], ["c", "d"], ["e", "root"]]
    for wrong in ("!", "AA", "_w"):
        server = await root.call(f"users?cursor={wrong}")
        assert error(server) == (400, "invalid_request")
    assert error(await root.call("users?role=admin")) == (400, "invalid_request")


# Changes...


async def test_a_change_says_what_it_was_made_of(database: Database) -> None:
    world = World(database)
    root = await admin(world, database)
    user = (await root.call("users", "POST", NEW)).json
    path = f"users/{user['id']}"
    seen = await root.call(path)
    assert error(await root.call(path, "PATCH", {"role": "viewer"})) == (428, "if_match_required")
    first = await root.call(path, "PATCH", {"role": "viewer"}, headers=tag(seen))
    assert (first.status, first.headers[b"etag"], first.json["role"]) == (200, b'"2"', "viewer")
    # Another admin has the page from before.
    for method, value in (("PATCH", {"role": "admin"}), ("DELETE", None)):
        server = await root.call(path, method, value, headers=tag(seen))
        assert error(server) == (412, "changed_meanwhile")
    for wrong in (b"*", b'W/"2"', b'"x"', b'"1", "2"', b"", b'"' + b"9" * 30 + b'"'):
        server = await root.call(path, "PATCH", {"role": "admin"}, headers={b"if-match": wrong})
        assert error(server) == (412, "changed_meanwhile")
    assert (await root.call(path)).json["role"] == "viewer"
    (event,) = world.seen(AuditAction.USER_CHANGED)
    assert (event.target, event.details["old"], event.details["new"]) == (
        "bob", {"role": "operator"}, {"role": "viewer"}
    )  # fmt: skip


@pytest.mark.parametrize("value", [{}, {"role": None}, {"disabled": "no"}, {"name": "x"}, [], None])
async def test_a_change_that_is_none(sqlite_database: Database, value: Any) -> None:
    world = World(sqlite_database)
    root = await admin(world, sqlite_database)
    user = new_user(sqlite_database, "bob")
    server = await root.call(f"users/{user.id}", "PATCH", value, headers={b"if-match": b'"1"'})
    assert error(server) == (400, "invalid_request")


async def test_who_is_disabled_is_out_at_once(database: Database) -> None:
    world = World(database)
    root = await admin(world, database)
    bob = new_user(database, "bob")
    browser = await signed_in(world, "bob")
    path = f"users/{bob.id}"
    server = await root.call(path, "PATCH", {"disabled": True}, headers=tag(await root.call(path)))
    assert server.json["disabled"] is True
    assert (await browser.call("status")).status == 401
    assert (await Browser(world).sign_in("bob")).status == 401
    server = await root.call(path, "PATCH", {"disabled": False}, headers=tag(server))
    # The session does not come back.
    assert (await browser.call("status")).status == 401
    assert (await Browser(world).sign_in("bob")).status == 200
    events = world.seen(AuditAction.USER_CHANGED)
    assert [(each.details["new"], each.details["sessions_ended"]) for each in events] == [
        ({"disabled": True}, 1),
        ({"disabled": False}, 0),
    ]


async def test_who_is_removed_is_out_at_once(database: Database) -> None:
    world = World(database)
    root = await admin(world, database)
    bob = new_user(database, "bob", "operator")
    browser = await signed_in(world, "bob")
    path = f"users/{bob.id}"
    server = await root.call(path, "DELETE", headers={b"if-match": b'"1"'})
    assert server.json == {"removed": True, "sessions_ended": 1}
    assert (await browser.call("status")).status == 401
    for method in ("GET", "DELETE"):
        server = await root.call(path, method, headers={b"if-match": b'"1"'})
        assert error(server) == (404, "not_found")
    # The next one of that name does not get the session.
    new_user(database, "bob")
    assert (await browser.call("status")).status == 401
    (event,) = world.seen(AuditAction.USER_REMOVED)
    assert event.details == {
        "old": {"role": "operator", "disabled": False}, "sessions_ended": 1
    }  # fmt: skip


async def test_one_admin_stays(database: Database) -> None:
    world = World(database)
    root = await admin(world, database)
    me = (await root.call("users")).json["rows"][0]
    path, headers = f"users/{me['id']}", {b"if-match": b'"1"'}
    new_user(database, "bob", "operator")
    for method, value in (
        ("DELETE", None),
        ("PATCH", {"role": "operator"}),
        ("PATCH", {"disabled": True}),
    ):
        server = await root.call(path, method, value, headers=headers)
        assert error(server) == (409, "last_admin")
    # With another admin it can be done; of two who do it to each other at once, one can.
    other = new_user(database, "other", "admin")
    statuses: list[int] = []

    async def demote(user_id: str) -> None:
        server = await world.call(
            f"users/{user_id}", "PATCH", headers=headers, body=b'{"role":"viewer"}'
        )
        statuses.append(server.status)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(demote, me["id"])
        nursery.start_soon(demote, other.id)
    assert sorted(statuses) == [200, 409]


async def test_a_password_that_was_forgotten(database: Database) -> None:
    world = World(database)
    root = await admin(world, database)
    bob = new_user(database, "bob")
    browser = await signed_in(world, "bob")
    for _ in range(5):
        await Browser(world, ("192.0.2.8", 1)).sign_in("bob", "wrong")
    assert (await Browser(world).sign_in("bob")).status == 429
    path = f"users/{bob.id}/password"
    assert error(await root.call(path, "POST", {"password": "bob"})) == (400, "invalid_request")
    assert (await root.call(path, "POST", {"password": OTHER})).status == 200
    assert (await browser.call("status")).status == 401
    # It is no longer locked out either.
    assert (await Browser(world).sign_in("bob", OTHER)).status == 200
    (event,) = world.seen(AuditAction.PASSWORD_CHANGED)
    assert (event.actor, event.target, event.result) == ("root", "bob", AuditResult.OK)
    assert event.details == {"sessions_ended": 1}


async def test_a_users_sessions(database: Database) -> None:
    world = World(database)
    root = await admin(world, database)
    bob = new_user(database, "bob")
    browsers = [await signed_in(world, "bob") for _ in range(2)]
    path = f"users/{bob.id}/sessions"
    shown = await root.call(path)
    assert [set(row) for row in shown.json["rows"]] == [
        {"created", "seen", "expires", "client_ip", "user_agent"}
    ] * 2
    assert shown.json["rows"][0]["user_agent"] == "Browser/1.0"
    assert (await root.call(path, "DELETE")).json == {"sessions_ended": 2}
    assert [(await each.call("status")).status for each in browsers] == [401, 401]
    (event,) = world.seen(AuditAction.SESSIONS_ENDED)
    assert (event.target, event.details) == ("bob", {"sessions_ended": 2})


@pytest.mark.parametrize("user_id", ["usr_0", "me", "%00", "%ff", "x" * 5000])
async def test_a_user_that_is_not_there(database: Database, user_id: str) -> None:
    world = World(database)
    match = {b"if-match": b'"1"'}
    body = b'{"role":"viewer","password":"%s"}' % OTHER.encode()
    for target, method, sent in (
        ("", "GET", b""),
        ("", "PATCH", b'{"role":"viewer"}'),
        ("", "DELETE", b""),
        ("/sessions", "GET", b""),
        ("/sessions", "DELETE", b""),
    ):
        server = await world.call(f"users/{user_id}{target}", method, headers=match, body=sent)
        assert error(server) == (404, "not_found"), (target, method)
    server = await world.call("users/usr_0/password", "POST", body=body)
    assert error(server) == (404, "not_found")
