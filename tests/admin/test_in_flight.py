"""The list of exchanges in flight, as an administrator sees it."""

from __future__ import annotations

import os

import pytest
import trio
from trio.testing import MockClock

from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_chat.stream import ChatStreamRewriter
from gateway.core.records.audit import AuditAction
from gateway.proxy.exchange import Exchange
from tests.proxy.scripts import ScriptedClient
from tests.proxy.world import body

from .world import World


def begin(world: World, number: int) -> Exchange:
    """Begin an exchange that nothing is done with."""
    identity = b"req_%d" % number
    found = Exchange(
        world.services, world.snapshot, ScriptedClient(body()), identity, OPENAI_CHAT, "192.0.2.1"
    )
    world.services.in_flight.enter(found)
    return found


async def test_all_that_is_known_of_each(autojump_clock: MockClock) -> None:
    world = World()
    nothing = {"rows": [], "total": 0, "next": None, "silent": []}
    assert (await world.call("in-flight")).json == nothing
    exchange = begin(world, 1)
    exchange.record.time = 1_800_000_000.25
    exchange.record.token, exchange.record.model, exchange.record.stream = "app", "m", True
    exchange.record.provider, exchange.record.provider_model = "openai", "gpt-4o"
    exchange.rewriter = ChatStreamRewriter(b'"m"', keep_usage=True, max_event_bytes=1000)
    exchange.rewriter.events = 42
    await trio.sleep(1.5)
    begin(world, 2).record.time = 1_800_000_001.75
    await trio.sleep(0.25)
    server = await world.call("in-flight")
    assert server.status == 200
    assert server.headers[b"cache-control"] == b"no-store"
    assert server.json == {
        "rows": [
            {
                "request_id": "req_1",
                "token": "app",
                "client_ip": "192.0.2.1",
                "model": "m",
                "stream": True,
                "provider": "openai",
                "provider_model": "gpt-4o",
                "attempts": 0,
                "events": 42,
                "age_s": 1.75,
                "shared": False,
                "started": 1_800_000_000_250_000,
                "pid": os.getpid(),
                "host": None,
            },
            {
                "request_id": "req_2",
                "token": None,
                "client_ip": "192.0.2.1",
                "model": None,
                "stream": False,
                "provider": None,
                "provider_model": None,
                "attempts": 0,
                "events": 0,
                "age_s": 0.25,
                "shared": False,
                "started": 1_800_000_001_750_000,
                "pid": os.getpid(),
                "host": None,
            },
        ],
        "total": 2,
        "next": None,
        "silent": [],
    }


async def test_the_limit_keeps_the_oldest() -> None:
    world = World()
    for number in range(105):
        begin(world, number)
    for target, rows in {
        "in-flight": 100,
        "in-flight?limit=3": 3,
        "in-flight?limit=1000": 105,
    }.items():
        found = (await world.call(target)).json
        assert [row["request_id"] for row in found["rows"]] == [f"req_{n}" for n in range(rows)]
        assert found["total"] == 105


async def test_pages_follow_each_other_whatever_ends_and_begins_meanwhile() -> None:
    world = World()
    known = [begin(world, number) for number in range(7)]
    seen: list[str] = []
    target = "in-flight?limit=3"
    for step in range(3):
        found = (await world.call(target)).json
        seen += [row["request_id"] for row in found["rows"]]
        world.services.in_flight.leave(known[step])
        target = f"in-flight?limit=3&cursor={found['next']}"
    assert seen == [f"req_{number}" for number in range(7)]
    assert found["next"] is None
    (refused,) = [await world.call("in-flight?cursor=WyJrIiwxLCJhIl0")]
    assert (refused.status, refused.json["error"]["param"]) == (400, "cursor")


@pytest.mark.parametrize(
    "query", ["cursor=x", "limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "token=a"]
)
async def test_what_is_no_parameter_of_it(query: str) -> None:
    server = await World().call(f"in-flight?{query}")
    assert server.status == 400
    assert server.json["error"]["param"] == query.partition("=")[0]


async def test_a_look_is_written_down_once_in_a_while(autojump_clock: MockClock) -> None:
    world = World()
    for _ in range(3):
        await world.call("in-flight")
        await trio.sleep(1)
    (event,) = world.seen(AuditAction.LOG_VIEWED)
    assert (event.target, event.actor) == ("in-flight", "root")
    await trio.sleep(60)
    await world.call("in-flight")
    assert len(world.seen(AuditAction.LOG_VIEWED)) == 2
