"""Who may come in, and what is written down of it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gateway.admin.accounts.failed_sign_ins import OF_ONE, WINDOW
from gateway.admin.sign_in import RecentlySeen
from gateway.core.records.audit import MOST_TEXT, ActorKind, AuditAction, AuditResult

from .world import ADMIN, PEER, TOKEN, World

ROUTES = [("GET", "status"), ("POST", "reload"), ("GET", "requests"), ("GET", "export/audit"),
          ("GET", "debug/req_1")]  # fmt: skip
each_route = pytest.mark.parametrize(("method", "path"), ROUTES)


@each_route
@pytest.mark.parametrize("key", [None, b"sk-wrong", TOKEN, b""], ids=["none", "wrong", "token", ""])
async def test_only_an_admins_key_opens_it(method: str, path: str, key: bytes | None) -> None:
    world = World()
    server = await world.call(path, method, key)
    assert server.status == 401
    assert server.json["error"]["code"] == "invalid_api_key"
    assert server.headers[b"www-authenticate"] == b"Bearer"
    assert b"sk-" not in server.body
    assert world.control.causes == []


@each_route
@pytest.mark.parametrize("key", [None, ADMIN, TOKEN])
async def test_without_admins_it_is_off(method: str, path: str, key: bytes | None) -> None:
    world = World(admins=False)
    server = await world.call(path, method, key)
    assert server.status == 403
    assert "the admin API is off; add [[admins]]" in server.json["error"]["message"]
    assert world.events == []


async def test_a_key_may_also_be_sent_as_anthropics_clients_do() -> None:
    server = await World().call("status", key=None, headers={b"x-api-key": ADMIN})
    assert server.status == 200


async def test_a_refused_key_is_written_down_but_for_itself() -> None:
    world = World()
    await world.call("requests?token=secret", key=b"sk-wrong")
    (event,) = world.events
    assert (event.action, event.result) == (AuditAction.SIGN_IN, AuditResult.REFUSED)
    assert (event.actor_kind, event.actor) == (ActorKind.ADMIN, None)
    assert event.client_ip == PEER[0]
    assert event.target == "/admin/api/requests"
    assert "wrong" not in repr(event)
    # Without a key nobody has tried to be anybody.
    await world.call("status", key=None)
    assert len(world.events) == 1


@pytest.mark.parametrize("key", [b"sk-wrong", ADMIN])
async def test_what_is_written_down_of_a_path_is_bounded(key: bytes) -> None:
    world = World()
    await world.call("x" * 60_000, key=key)
    (event,) = world.events
    assert event.target is not None
    assert event.target.startswith("/admin/api/xxx")
    assert len(event.target) == MOST_TEXT


async def test_a_flood_of_keys_leaves_a_few_rows(autojump_clock: MockClock) -> None:
    world = World()
    for _ in range(3):
        for number in range(100):
            await world.call("status", key=b"sk-%d" % number)
        await trio.sleep(WINDOW)
    assert len(world.events) == 3 * OF_ONE
    unwritten = [event.details.get("unwritten", 0) for event in world.events]
    assert unwritten == [0] * OF_ONE + ([100 - OF_ONE] + [0] * (OF_ONE - 1)) * 2


async def test_an_admin_is_written_down_once_an_hour_and_address(
    autojump_clock: MockClock,
) -> None:
    world = World()
    for _ in range(3):
        await world.call("status")
    assert [(event.actor, event.result) for event in world.events] == [("root", AuditResult.OK)]
    await world.call("status", peer=("192.0.2.8", 1))
    await world.call("status", peer=None)
    assert [event.client_ip for event in world.events] == [PEER[0], "192.0.2.8", None]
    await trio.sleep(3600)
    await world.call("status")
    assert len(world.seen(AuditAction.SIGN_IN)) == 4


async def test_a_reload_takes_a_key_away() -> None:
    world = World()
    assert (await world.call("status")).status == 200
    world.snapshot = World(admins=False).snapshot
    assert (await world.call("status")).status == 403


async def test_what_is_remembered_is_bounded(autojump_clock: MockClock) -> None:
    remembered = RecentlySeen(10.0, most=3)
    assert [remembered.is_new(name) for name in "abcd"] == [True] * 4
    assert not remembered.is_new("d")
    assert remembered.is_new("a")
    await trio.sleep(10)
    assert remembered.is_new("d")
