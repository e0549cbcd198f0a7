"""The first user, by the one-time link of the start."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from gateway.admin.accounts.tokens import digest_of, new_token
from gateway.core.records.audit import AuditAction, AuditResult
from gateway.store.accounts import setup_links, users
from gateway.store.engine.database import Database

from ..world import World
from .people import HOST, PASSWORD, Browser, new_user
from .test_sign_ins import Clock

pytestmark = pytest.mark.slow

HERE = ("127.0.0.1", 50_000)
HALF_AN_HOUR = 1800


def offered(database: Database, clock: Clock) -> str:
    token = new_token()
    now = round(clock.now * 1e6)
    assert database.write_now(
        lambda connection: setup_links.offer(
            connection, digest_of(token), now=now, seconds=HALF_AN_HOUR
        )
    )
    return token


def first(token: str, **more: Any) -> dict[str, Any]:
    return {"token": token, "name": "Root", "password": PASSWORD, **more}


async def test_the_first_user_is_an_admin_and_signed_in(database: Database) -> None:
    clock = Clock()
    world, browser = World(database, admins=False, clock=clock), None
    token = offered(database, clock)
    clock.now += HALF_AN_HOUR - 1
    browser = Browser(world, HERE)
    made = await browser.call("setup", "POST", first(token))
    assert (made.status, made.json["name"], made.json["role"]) == (201, "root", "admin")
    assert (await browser.call("users")).status == 200
    assert (await Browser(world).sign_in("root")).status == 200
    # It is gone, for anybody.
    for again in (browser, Browser(world, HERE)):
        server = await again.call("setup", "POST", first(token, name="other"))
        assert (server.status, server.json["error"]["code"]) == (403, "setup_link_over")
    events = world.seen(AuditAction.USER_CREATED)
    assert [event.result for event in events] == [AuditResult.OK] + [AuditResult.REFUSED] * 2
    assert token not in repr(world.events)


async def test_a_link_ends(database: Database) -> None:
    clock = Clock()
    token = offered(database, clock)
    clock.now += HALF_AN_HOUR
    server = await Browser(World(database, clock=clock), HERE).call("setup", "POST", first(token))
    assert (server.status, server.json["error"]["code"]) == (403, "setup_link_over")


async def test_a_link_is_gone_once_there_is_any_user(database: Database) -> None:
    clock = Clock()
    token = offered(database, clock)
    new_user(database, "viewer")
    server = await Browser(World(database, clock=clock), HERE).call("setup", "POST", first(token))
    assert (server.status, server.json["error"]["code"]) == (403, "setup_link_over")
    assert not database.write_now(
        lambda connection: setup_links.offer(connection, "x", now=1, seconds=1)
    )


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        (("192.0.2.7", 1), {}),
        (None, {}),
        (HERE, {b"x-forwarded-for": b"127.0.0.1"}),
        (HERE, {b"forwarded": b"for=192.0.2.7"}),
    ],
)
async def test_a_link_works_on_this_machine_only(
    sqlite_database: Database, peer: tuple[str, int] | None, headers: dict[bytes, bytes]
) -> None:
    clock = Clock()
    token = offered(sqlite_database, clock)
    world = World(sqlite_database, clock=clock)
    server = await Browser(world, peer).call("setup", "POST", first(token), headers=headers)
    assert (server.status, server.json["error"]["code"]) == (403, "not_local")
    assert not sqlite_database.read_now(users.exist)


@pytest.mark.parametrize("wrong", ["", "x", "A" * 43, "ü" * 43, "\0"])
async def test_a_link_cannot_be_guessed(sqlite_database: Database, wrong: str) -> None:
    clock = Clock()
    token = offered(sqlite_database, clock)
    world = World(sqlite_database, clock=clock)
    for given in (wrong, digest_of(token)):
        server = await Browser(world, HERE).call("setup", "POST", first(given))
        assert (server.status, server.json["error"]["code"]) == (403, "setup_link_over")


async def test_what_the_first_user_cannot_be_costs_no_link(sqlite_database: Database) -> None:
    clock = Clock()
    token = offered(sqlite_database, clock)
    browser = Browser(World(sqlite_database, clock=clock), HERE)
    for wrong in ({"name": ""}, {"password": "short"}, {"role": "admin"}):
        server = await browser.call("setup", "POST", first(token, **wrong))
        assert server.status == 400
    browser.origin = b"https://evil.example"
    assert (await browser.call("setup", "POST", first(token))).status == 403
    browser.origin = b"http://" + HOST
    assert (await browser.call("setup", "POST", first(token))).status == 201


async def test_of_several_at_once_one_makes_the_user(database: Database) -> None:
    clock = Clock()
    # Two gateways on one database have printed a link each.
    tokens = [offered(database, clock) for _ in range(2)]
    worlds = [World(database, clock=clock) for _ in range(2)]
    statuses: list[int] = []

    async def redeem(number: int) -> None:
        browser = Browser(worlds[number % 2], HERE)
        value = first(tokens[number // 2 % 2], name=f"root{number}")
        statuses.append((await browser.call("setup", "POST", value)).status)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(redeem, number)
    assert sorted(statuses) == [201] + [403] * 7
    found = database.read_now(lambda connection: users.page(connection, "", 10))
    assert len(found) == 1
