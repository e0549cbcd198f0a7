"""The state of the process and a reload, as an administrator sees them."""

from __future__ import annotations

import os

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway import __version__
from gateway.config.reload_status import ReloadFailure, ReloadOutcome
from gateway.core.records.audit import AuditAction, AuditResult
from gateway.core.routing.causes import Cause
from gateway.core.routing.health import Sample
from tests.api.asgi import Server, piece
from tests.api.control import Scripted
from tests.proxy.world import deployment

from .world import PEER, World

SECRET = "sk-provider-secret"


async def test_reload_says_what_needs_a_restart() -> None:
    world = World(
        control=Scripted(ReloadOutcome(7, ("server.bind",), (), ("tokens.a.key", "log.level")))
    )
    server = await world.call("reload", "POST")
    assert server.status == 200
    assert server.json == {"reloaded": True, "generation": 7, "needs_restart": ["server.bind"]}
    assert world.control.causes == ["admin root"]
    (event,) = world.seen(AuditAction.CONFIG_RELOADED)
    assert (event.result, event.actor, event.client_ip) == (AuditResult.OK, "root", PEER[0])
    assert event.details == {
        "generation": 7,
        "changed": ("tokens.a.key", "log.level"),
        "needs_restart": ("server.bind",),
    }


async def test_reload_of_a_bad_file_says_all_that_is_wrong() -> None:
    problems = ("config.toml: [lgo]: unknown key", f"config.toml: [[models]]: no {SECRET!r}")
    world = World(control=Scripted(ReloadOutcome(1, (), problems)))
    server = await world.call("reload", "POST")
    assert server.status == 422
    error = server.json["error"]
    assert error["problems"] == list(problems)
    assert error["type"] == "invalid_request_error"
    assert error["code"] == "invalid_configuration"
    assert set(error) == {"message", "type", "param", "code", "problems"}
    # OpenAI's SDKs, by which some will call this, would try again.
    assert server.headers[b"x-should-retry"] == b"false"
    (event,) = world.seen(AuditAction.CONFIG_RELOADED)
    assert (event.result, event.details) == (AuditResult.FAILED, {"problems": 2})


async def test_who_leaves_does_not_undo_a_reload(autojump_clock: MockClock) -> None:
    class Slow(Scripted):
        async def reload_everywhere(self, cause: str) -> ReloadOutcome:
            await trio.sleep(1)
            return await super().reload_everywhere(cause)

    world = World(control=Slow())
    server = Server((0, piece()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: world.call("reload", "POST", server=server))
        await trio.sleep(0.5)
        server.disconnect()
    assert server.sent == []
    assert world.control.causes == ["admin root"]
    assert len(world.seen(AuditAction.CONFIG_RELOADED)) == 1


async def test_a_reload_that_does_not_end_is_no_request_that_does_not_end(
    autojump_clock: MockClock,
) -> None:
    class Stuck(Scripted):
        async def reload_everywhere(self, cause: str) -> ReloadOutcome:
            await trio.sleep_forever()
            raise AssertionError

    world = World(control=Stuck())
    server = await world.call("reload", "POST")
    assert server.status == 500
    assert "longer than 10 s" in server.json["error"]["message"]
    # It may well come to its end, and was asked for.
    last = world.events[-1]
    assert (last.action, last.result) == (AuditAction.CONFIG_RELOADED, AuditResult.FAILED)
    assert last.details == {"still_under_way_s": 10.0}


async def test_status_shows_what_is_known(autojump_clock: MockClock) -> None:
    world = World(store=lambda: {"waiting": 3})
    target = world.state.target(deployment("a", keys=(b"key-1", b"key-2")))
    now = trio.current_time()
    for cause in (None, Cause.SERVER_ERROR, Cause.SERVER_ERROR):
        permit = target.enter(now)
        assert permit is not None
        first_event = 0.25 if cause is None else None
        target.leave(permit, Sample(cause, 0.5, first_event), now, lambda: 0.5)
    ring = target.keyring
    ring.refuse(ring.keys[0], now, f"401: {SECRET} is wrong", everywhere=True)
    ring.limit(ring.keys[1], now, 7.0)
    problem = ReloadFailure("2026-11-23T09:00:00.000+00:00", ("[lgo]: unknown key",))
    world.control.reload_status = msgspec.structs.replace(
        world.control.reload_status, last_error=problem
    )

    server = await world.call("status")
    assert server.status == 200
    found = server.json
    assert found["pid"] == os.getpid()
    assert found["version"] == __version__
    assert found["phase"] == "starting"
    assert found["in_flight"] == 0
    assert found["store"] == {"waiting": 3}
    assert found["config"] == {
        "path": "/etc/gateway/config.toml",
        "generation": 1,
        "loaded_at": "2026-11-23T08:00:00.000+00:00",
        "needs_restart": [],
        "last_error": {"at": problem.at, "problems": list(problem.problems)},
    }
    (shown,) = found["deployments"]
    assert shown["name"] == "a/real"
    assert shown["state"] == "closed"
    assert shown["attempts"] == 3
    assert shown["failures"] == {Cause.SERVER_ERROR.value: 2}
    assert shown["consecutive_failures"] == 2
    assert shown["retry_budget_exhausted"] == 0
    assert shown["first_event_ms"] >= 250
    assert [(key["refused"], key["rests_s"]) for key in shown["keys"]] == [
        (True, 30.0),
        (False, 7.0),
    ]
    assert {"held": 0, "limit": None, "waiting": 0}.items() <= found["slots"][0].items()
    assert b"sk-" not in server.body
    # To look at the process is to look at no log.
    assert [event.action for event in world.events] == [AuditAction.SIGN_IN]


async def test_status_during_a_drain_says_so() -> None:
    world = World()
    world.lifecycle.ready()
    world.lifecycle.start_drain()
    server = await world.call("status")
    assert server.json["phase"] == "draining"
    assert "store" not in server.json
    assert server.headers[b"connection"] == b"close"


@pytest.mark.parametrize("path", ["/%61dmin/api/status", "/admin/api/status/", "status"])
async def test_a_path_is_what_it_means(path: str) -> None:
    assert (await World().call(path)).status == 200
