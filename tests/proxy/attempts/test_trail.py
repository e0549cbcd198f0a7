"""What stands in a record of a request that went past deployments."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from gateway.core.routing.attempts import RetryPolicy
from gateway.core.routing.causes import Cause
from gateway.proxy.options import ClientOptions
from gateway.transport_errors import StaleConnection

from ..scripts import EOF, STALL, Head, Play, ScriptedClient, answer, fails, ok, status
from ..world import State, World, body, deployment

SHORT = RetryPolicy(max_attempts=1)


def past(world: World) -> list[tuple[str, str]]:
    return [(each.provider, each.reason) for each in world.record.skipped]


async def opened(state: State, name: str) -> None:
    for _ in range(5):
        await World([(name, status(500))], state=state, retry=SHORT).run()


async def test_one_whose_breaker_is_open_is_on_record(autojump_clock: MockClock) -> None:
    state = State()
    await opened(state, "a")
    world = World([("b", ok())], routes=["a", "b"], state=state)
    record = await world.run()
    assert (past(world), record.provider) == ([("a", "circuit_open")], "b")
    assert record.skipped[0].model == "real"


async def test_the_routes_of_the_model_before_its_fallback_are_on_record(
    autojump_clock: MockClock,
) -> None:
    state = State()
    await opened(state, "a")
    world = World([("b", ok())], routes=["a"], fallbacks=[deployment("b")], state=state)
    await world.run()
    assert past(world) == [("a", "circuit_open")]


async def test_what_was_tried_was_not_gone_past(autojump_clock: MockClock) -> None:
    world = World([("a", status(401)), ("b", ok())])
    await world.run()
    assert past(world) == []


async def test_keys_that_rest_are_on_record_and_in_the_message(autojump_clock: MockClock) -> None:
    state = State()
    await World([("a", status(429, after=0))], state=state, retry=SHORT).run()
    world = World([("b", status(500))], routes=["a", "b"], state=state, retry=SHORT)
    await world.run()
    assert past(world) == [("a", "rate_limited")]
    assert world.client.error["message"].endswith("; not asked: a/real: rate limited")
    assert world.client.headers[b"x-gateway-attempts"] == b"1"


async def test_a_model_that_cannot_serve_a_request(autojump_clock: MockClock) -> None:
    said = b'{"error":{"message":"too long","code":"context_length_exceeded"}}'
    world = World(
        [("a", [(0, Head(400, ())), (0, said), (0, EOF)]), ("c", ok())],
        routes=["a", "b"],
        fallbacks=[deployment("c")],
        switch_on=frozenset({Cause.CONTEXT_LENGTH}),
    )
    await world.run()
    assert (world.causes, past(world)) == (["context_length", "ok"], [("b", "cannot_serve")])


async def test_a_caller_that_left_was_waiting_for_somebody(autojump_clock: MockClock) -> None:
    client = ScriptedClient(body(), leaves_at=5)
    world = World([Play("a", [(0, Head()), (1, STALL)])], client=client)
    record = await world.run()
    assert record.end_reason == "client_gone"
    assert (record.provider, record.provider_model) == ("a", "real")
    # Between two attempts nobody is asked, and the last one has failed.
    client = ScriptedClient(body(), leaves_at=trio.current_time() + 0.1)
    retry = RetryPolicy(base=10, cap=10)
    world = World([("a", status(503))], client=client, retry=retry)
    record = await world.run()
    assert (record.end_reason, record.provider) == ("client_gone", None)


# A connection that had been idle and was closed...


async def test_what_is_sent_again_is_an_attempt(autojump_clock: MockClock) -> None:
    world = World([("a", fails(StaleConnection("gone"))), ("a", ok())])
    await world.run()
    assert world.causes == ["stale_connection", "ok"]
    assert world.client.headers[b"x-gateway-attempts"] == b"2"
    assert world.health["a/real"].consecutive_failures == 0


async def test_who_wants_one_attempt_gets_one(autojump_clock: MockClock) -> None:
    world = World([("a", fails(StaleConnection("gone")))])
    await world.run(asked=ClientOptions(single=True))
    assert (world.client.status, world.causes) == (502, ["stale_connection"])


# Which model answers...


async def test_the_answer_of_a_fallback_says_so(autojump_clock: MockClock) -> None:
    for stream, script in ((True, ok()), (False, answer())):
        world = World(
            [("a", status(401)), ("b", script)],
            routes=["a"],
            fallbacks=[deployment("b")],
            stream=stream,
            fallbacks_named=("other/name",),
        )
        record = await world.run()
        assert b'"model":"other/name"' in world.client.text
        assert b'"model":"m"' not in world.client.text
        assert world.client.headers[b"x-gateway-fallback"] == b"other/name"
        assert record.fallback_model == "other/name"
        assert record.model == "m"
