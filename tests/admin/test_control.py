"""A reload, as an administrator asks for it."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from gateway.config.reload_status import ReloadOutcome
from gateway.core.records.audit import AuditAction, AuditResult
from tests.api.asgi import Server, piece
from tests.api.control import Scripted

from .world import PEER, World

SECRET = "sk-provider-secret"


async def test_reload_says_what_needs_a_restart() -> None:
    world = World(
        control=Scripted(ReloadOutcome(7, ("server.bind",), (), ("tokens.a.key", "log.level")))
    )
    server = await world.call("reload", "POST")
    assert server.status == 200
    assert server.json == {
        "reloaded": True,
        "generation": 7,
        "needs_restart": ["server.bind"],
        "warnings": [],
    }
    assert world.control.causes == ["admin root"]
    (event,) = world.seen(AuditAction.CONFIG_RELOADED)
    assert (event.result, event.actor, event.client_ip) == (AuditResult.OK, "root", PEER[0])
    assert event.details == {
        "generation": 7,
        "changed": ("tokens.a.key", "log.level"),
        "needs_restart": ("server.bind",),
    }


async def test_a_large_part_that_is_gone_is_said() -> None:
    warnings = ("[[tokens]]: 8 of 10 are gone; is the file complete?",)
    world = World(control=Scripted(ReloadOutcome(7, warnings=warnings)))
    server = await world.call("reload", "POST")
    assert (server.status, server.json["warnings"]) == (200, list(warnings))
    (event,) = world.seen(AuditAction.CONFIG_RELOADED)
    assert event.details["warnings"] == warnings


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
