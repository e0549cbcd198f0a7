"""The state of the process, as an administrator sees it."""

from __future__ import annotations

import os

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway import __version__
from gateway.config.reload_status import ReloadFailure
from gateway.core.records.audit import AuditAction
from gateway.core.routing.causes import Cause
from gateway.core.routing.health import Sample
from tests.proxy.world import deployment

from .world import World

SECRET = "sk-provider-secret"


async def test_status_shows_what_is_known(autojump_clock: MockClock) -> None:
    world = World(store=lambda: {"waiting": 3})
    target = world.health.target(deployment("a", keys=(b"key-1", b"key-2")))
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
        "warnings": [],
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
