"""The admin API, as whoever has an admin's key sees it, and whoever has not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway import __version__
from gateway.config.reload import Failure, Outcome
from gateway.config.schema import Cors
from gateway.core.cached import CachePolicy
from gateway.core.routing.causes import Cause
from gateway.core.routing.health import Sample
from gateway.lifecycle import Lifecycle
from gateway.proxy.cache import ResponseCache
from gateway.proxy.services import Services
from gateway.proxy.traffic import Traffic
from gateway.server.gateway import Gateway, Running
from gateway.state.memory import MemoryState
from tests.proxy.scripts import ScriptedUpstream
from tests.proxy.world import Records, deployment, snapshot_of

from .asgi import Server, piece
from .control import Scripted

ADMIN, TOKEN = b"sk-admin", b"sk-token"
SECRET = "sk-provider-secret"
ORIGIN = b"https://chat.example.com"
STATUS, RELOAD = ("GET", "/admin/api/status"), ("POST", "/admin/api/reload")
BOTH = pytest.mark.parametrize("route", [STATUS, RELOAD], ids=["status", "reload"])


class World:
    def __init__(self, control: Scripted | None = None, *, admins: bool = True) -> None:
        self.control = control or Scripted()
        self.lifecycle = Lifecycle()
        self.state = MemoryState()
        self.target = self.state.target(deployment("a", keys=(b"key-1", b"key-2")))
        self.services = Services(
            upstream=ScriptedUpstream(()),
            state=self.state,
            traffic=Traffic(self.lifecycle),
            cache=ResponseCache(CachePolicy()),
            recorder=Records(),
            lifecycle=self.lifecycle,
            rng=lambda: 0.5,
        )
        self.snapshot = msgspec.structs.replace(
            snapshot_of(deployment("a"), keys={TOKEN: ("*",)}),
            admins={hashlib.sha256(ADMIN).digest(): "root"} if admins else {},
            cors=Cors(allow_origins=("*",)),
        )

    async def call(
        self, route: tuple[str, str], key: bytes | None = ADMIN, origin: bytes | None = None
    ) -> Server:
        method, path = route
        headers = [(b"authorization", b"Bearer " + key)] if key is not None else []
        if origin is not None:
            headers += [(b"origin", origin), (b"access-control-request-method", b"POST")]
        server = Server((0, piece()))
        scope = {"type": "http", "method": method, "raw_path": path.encode(), "headers": headers}
        gateway = Gateway(self.lifecycle, self._start)
        up, stop = trio.Event(), trio.Event()

        async def receive() -> Any:
            if up.is_set():
                await stop.wait()
            return {}

        async def said(message: Any) -> None:
            assert message["type"].endswith(".complete"), message
            up.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(gateway, {"type": "lifespan"}, receive, said)
            await up.wait()
            await gateway(scope, server.receive, server.send)
            stop.set()
        assert server.complete
        return server

    @asynccontextmanager
    async def _start(self) -> AsyncIterator[Running]:
        yield Running(self.services, self.snapshot, self.control)


@BOTH
@pytest.mark.parametrize("key", [None, b"sk-wrong", TOKEN, b""], ids=["none", "wrong", "token", ""])
async def test_only_an_admins_key_opens_it(route: tuple[str, str], key: bytes | None) -> None:
    world = World()
    server = await world.call(route, key)
    assert server.status == 401
    assert server.json["error"]["code"] == "invalid_api_key"
    assert b"sk-" not in server.body
    assert world.control.causes == []


@BOTH
@pytest.mark.parametrize("key", [None, ADMIN, TOKEN])
async def test_without_admins_it_is_off(route: tuple[str, str], key: bytes | None) -> None:
    server = await World(admins=False).call(route, key)
    assert server.status == 403
    assert "the admin API is off; add [[admins]]" in server.json["error"]["message"]


async def test_an_admins_key_is_no_token() -> None:
    server = await World().call(("GET", "/v1/models"))
    assert server.status == 401


async def test_reload_says_what_needs_a_restart() -> None:
    world = World(Scripted(Outcome(7, ("server.bind",))))
    server = await world.call(RELOAD)
    assert server.status == 200
    said = {"reloaded": True, "generation": 7, "needs_restart": ["server.bind"]}
    assert said.items() <= server.json.items()
    assert world.control.causes == ["admin root"]


async def test_reload_of_a_bad_file_says_all_that_is_wrong() -> None:
    problems = ("config.toml: [lgo]: unknown key", "config.toml: [[models]]: there is no model")
    server = await World(Scripted(Outcome(1, (), problems))).call(RELOAD)
    assert server.status == 422
    error = server.json["error"]
    assert error["problems"] == list(problems)
    assert error["type"] == "invalid_request_error"
    assert set(error) == {"message", "type", "param", "code", "problems"}
    # OpenAI's SDKs, by which some will call this, would try again.
    assert server.headers[b"x-should-retry"] == b"false"


async def test_status_shows_what_is_known(autojump_clock: MockClock) -> None:
    world = World()
    now = trio.current_time()
    for cause in (None, Cause.SERVER_ERROR, Cause.SERVER_ERROR):
        permit = world.target.enter(now)
        assert permit is not None
        first_event = 0.25 if cause is None else None
        world.target.leave(permit, Sample(cause, 0.5, first_event), now, lambda: 0.5)
    ring = world.target.keyring
    ring.refuse(ring.keys[0], now, f"401: {SECRET} is wrong", everywhere=True)
    ring.limit(ring.keys[1], now, 7.0)
    problem = Failure("2026-11-23T09:00:00.000+00:00", ("[lgo]: unknown key",))
    world.control.standing = msgspec.structs.replace(world.control.standing, last_error=problem)

    server = await world.call(STATUS)
    assert server.status == 200
    found = server.json
    assert found["pid"] == os.getpid()
    assert found["version"] == __version__
    assert found["phase"] == "running"
    assert found["in_flight"] == 0
    assert found["config"] == {
        "path": "/etc/gateway/config.toml",
        "generation": 1,
        "loaded_at": "2026-11-23T08:00:00.000+00:00",
        "needs_restart": [],
        "last_error": {"at": problem.at, "problems": list(problem.problems)},
    }
    (target,) = found["deployments"]
    assert target["name"] == "a/real"
    assert target["state"] == "closed"
    assert target["attempts"] == 3
    assert target["failures"] == {Cause.SERVER_ERROR.value: 2}
    assert target["consecutive_failures"] == 2
    assert target["retry_budget_exhausted"] == 0
    assert target["first_event_ms"] >= 250
    assert [(key["refused"], key["rests_s"]) for key in target["keys"]] == [
        (True, 30.0),
        (False, 7.0),
    ]
    assert {"held": 0, "limit": None, "waiting": 0}.items() <= found["slots"][0].items()
    assert b"sk-" not in server.body


async def test_status_during_a_drain_says_so() -> None:
    world = World()
    world.lifecycle.ready()
    world.lifecycle.start_drain()
    assert (await world.call(STATUS)).json["phase"] == "draining"


@pytest.mark.parametrize("path", ["/admin/api/status", "/%61dmin/api/status"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_pages_that_may_chat_may_not_come_here(method: str, path: str) -> None:
    server = await World().call((method, path), origin=ORIGIN)
    assert server.status == (200 if method == "GET" else 405)
    assert not [name for name in server.headers if name.startswith(b"access-control-")]
    # Whereas elsewhere they are let in.
    allowed = await World().call((method, "/v1/models"), TOKEN, ORIGIN)
    assert allowed.headers[b"access-control-allow-origin"] == b"*"


@pytest.mark.parametrize("route", [("GET", RELOAD[1]), ("POST", STATUS[1])])
async def test_each_takes_its_method_only(route: tuple[str, str]) -> None:
    assert (await World().call(route)).status == 405
