"""Who ends a request, and what is left of it: callers, shutdowns, mistakes of our own."""

from __future__ import annotations

import msgspec
import pytest
import trio
from structlog.testing import LogCapture
from trio.testing import MockClock

from gateway.core.records.record import EndReason
from gateway.errors import ClientGone, InvalidRequest
from gateway.proxy.exchange import Exchange

from .scripts import (
    DONE,
    EOF,
    JSON,
    STALL,
    STOP,
    Head,
    Play,
    ScriptedClient,
    Step,
    answer,
    chunk,
    ok,
    status,
)
from .world import World, body

SLOW: list[Step] = [(2, Head()), (2, chunk("hi")), *[(1, chunk("and"))] * 4, (1, STOP), (0, DONE)]
WHOLE: list[Step] = [(2, Head(200, (JSON,))), (2, b'{"choices":'), (2, b"[{}]}"), (0, EOF)]

# When the caller leaves: its moment, and how many attempts there were until then.
LEAVES: dict[str, tuple[float, Play, int]] = {
    "before the body ends": (0.5, Play("a", ok()), 0),
    "while connecting": (2, Play("a", ok(), connect=3), 1),
    "before the head": (2.5, Play("a", SLOW), 1),
    "before the first event": (4.5, Play("a", SLOW), 1),
    "in the wait for a retry": (1.125, Play("a", status(503)), 1),
}


@pytest.mark.parametrize(("at", "play", "attempts"), LEAVES.values(), ids=LEAVES)
async def test_a_caller_who_leaves_before_the_answer(
    autojump_clock: MockClock, at: float, play: Play, attempts: int
) -> None:
    client = ScriptedClient(body(), body_at=1, leaves_at=at)
    world = World([play], client=client)
    record = await world.run(all_played=bool(attempts))
    assert trio.current_time() == at
    assert (record.status, record.end_reason) == (499, "client_gone")
    assert record.error == "the client closed the connection"
    assert client.writes == 0
    assert len(record.attempts) == attempts
    assert world.health["a/real"].consecutive_failures == (play.steps[0][1] == Head(503, (JSON,)))
    for response in world.upstream.responses:
        assert response.closed_at is not None
        assert response.closed_at <= at


@pytest.mark.parametrize("at", [1.0, 3.0, 5.0])
async def test_a_caller_who_leaves_a_whole_answer(autojump_clock: MockClock, at: float) -> None:
    client = ScriptedClient(body(stream=False), leaves_at=at)
    world = World([("a", WHOLE)], client=client)
    record = await world.run()
    assert trio.current_time() == at
    assert (record.status, record.end_reason, world.causes) == (
        499,
        "client_gone",
        ["client_gone"],
    )
    assert client.writes == 0
    assert world.health["a/real"].consecutive_failures == 0
    assert all(each.closed_at == at for each in world.upstream.responses)


@pytest.mark.parametrize("pauses", [{}, {3: 60.0}], ids=["reading", "not reading"])
async def test_a_caller_who_leaves_in_the_middle(
    autojump_clock: MockClock, pauses: dict[int, float]
) -> None:
    client = ScriptedClient(body(), leaves_at=6.5, pauses=pauses)
    world = World([("a", SLOW)], client=client)
    record = await world.run()
    assert trio.current_time() == 6.5
    # The head was sent: that is what the caller saw.
    assert (record.status, record.end_reason) == (200, "client_gone")
    assert (record.first_event_ms, record.latency_ms) == (4000, 6500)
    assert world.causes == ["client_gone"]
    assert world.health["a/real"].consecutive_failures == 0
    assert world.upstream.responses[0].closed_at == 6.5
    assert b"error" not in client.text
    assert client.finished_at is None


@pytest.mark.parametrize("stream", [True, False])
async def test_leaving_during_the_last_write_cancels_nothing(
    autojump_clock: MockClock, *, stream: bool
) -> None:
    """Hypercorn reports a disconnect while it finishes a request (pitfall of its own)."""
    client = ScriptedClient(
        body(stream=stream), leaves_at=5, pauses={2: 10.0} if stream else {1: 10.0}
    )
    steps: list[Step] = [(0, Head()), (0, chunk("hi")), (1, STOP + DONE), (0, EOF)]
    world = World([("a", steps if stream else answer())], client=client)
    record = await world.run()
    assert record.end_reason == "complete"
    assert client.finished_at == (11 if stream else 10)
    assert world.upstream.responses[0].kept


# Shutdown...


SHUTDOWNS: dict[str, tuple[Play, float]] = {
    "before the body": (Play("a", ok()), 1.0),
    "connecting": (Play("a", ok(), connect=4), 1.0),
    "before the head": (Play("a", SLOW), 1.0),
    "before the first event": (Play("a", SLOW), 3.0),
    "in a wait": (Play("a", status(503)), 0.125),
}


@pytest.mark.parametrize("name", SHUTDOWNS)
async def test_a_shutdown_before_the_answer_is_a_503(autojump_clock: MockClock, name: str) -> None:
    play, at = SHUTDOWNS[name]
    waiting = name == "before the body"
    client = ScriptedClient(body(), body_at=9 if waiting else 0)
    world = World([] if waiting else [play], routes=["a"], client=client)
    record = await world.run_and_end_at(at)
    assert trio.current_time() == at
    assert client.status == 503
    assert client.error["code"] == "server_shutting_down"
    assert client.headers[b"retry-after"] == b"1"
    assert record.end_reason == "server_shutting_down"
    assert world.health["a/real"].consecutive_failures == (name == "in a wait")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_shutdown_before_the_request_is_a_503(
    autojump_clock: MockClock, *, stream: bool
) -> None:
    world = World([], routes=["a"], stream=stream)
    world.lifecycle.end_requests()
    record = await world.run()
    assert trio.current_time() == 0
    assert world.client.status == 503
    assert (record.end_reason, record.attempts) == ("server_shutting_down", [])


async def test_a_shutdown_in_the_middle_is_an_error_event(autojump_clock: MockClock) -> None:
    world = World([("a", SLOW)])
    record = await world.run_and_end_at(6.5)
    assert trio.current_time() == 6.5
    assert world.client.status == 200
    last = world.client.text.split(b"\n\n")[-2]
    assert b'"code":"server_shutting_down"' in last
    assert world.client.finished_at is None
    assert (record.end_reason, world.causes) == ("server_shutting_down", ["shutdown"])
    assert world.health["a/real"].consecutive_failures == 0


# An operator...


@pytest.mark.parametrize("name", SHUTDOWNS)
async def test_a_request_that_is_cancelled_before_its_answer(
    autojump_clock: MockClock, name: str
) -> None:
    play, at = SHUTDOWNS[name]
    waiting = name == "before the body"
    client = ScriptedClient(body(), body_at=9 if waiting else 0)
    world = World([] if waiting else [play], routes=["a"], client=client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.exchange)
        await trio.sleep(at)
        assert [record.request_id for record in world.in_flight.cancel("req_1")] == ["req_1"]
        assert world.in_flight.cancel("another") == []
    world.check()
    assert trio.current_time() == at
    assert (client.status, client.error["code"]) == (503, "cancelled_by_operator")
    # The same again is the caller's choice; its library is not to make it by itself.
    assert client.headers[b"x-should-retry"] == b"false"
    assert world.record.end_reason == "cancelled_by_operator"
    # It says nothing of the provider.
    assert world.health["a/real"].consecutive_failures == (name == "in a wait")


async def test_a_stream_that_is_cancelled_ends_with_an_error_event(
    autojump_clock: MockClock,
) -> None:
    world = World([("a", SLOW)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.exchange)
        await trio.sleep(6.5)
        world.in_flight.cancel("req_1")
    world.check()
    assert trio.current_time() == 6.5
    last = world.client.text.split(b"\n\n")[-2]
    assert b'"code":"cancelled_by_operator"' in last
    assert b"[DONE]" not in world.client.text
    assert world.client.finished_at is None
    assert (world.record.end_reason, world.causes) == (
        "cancelled_by_operator",
        ["cancelled_by_operator"],
    )


# Mistakes...


class Broken(Exception):
    pass


async def test_a_mistake_is_a_500_and_in_the_log(
    autojump_clock: MockClock, log: LogCapture
) -> None:
    async def work(exchange: Exchange) -> None:
        raise Broken("the secret details")

    world = World([], routes=["a"])
    record = await world.run(work=work)
    assert world.client.status == 500
    assert world.client.error == {
        "message": "the gateway made a mistake; its log has more",
        "type": "server_error",
        "param": None,
        "code": "internal_error",
    }
    assert record.end_reason == "internal_error"
    assert log.entries == [
        {
            "event": "request failed",
            "request_id": "req_1",
            "exc_info": True,
            "log_level": "error",
            "level": "error",
        }
    ]


@pytest.mark.parametrize("error", [MemoryError(), ExceptionGroup("", [MemoryError()])])
async def test_a_lack_of_memory_is_a_503(
    autojump_clock: MockClock, log: LogCapture, error: Exception
) -> None:
    async def work(exchange: Exchange) -> None:
        raise error

    world = World([], routes=["a"])
    record = await world.run(work=work)
    assert world.client.status == 503
    assert world.client.error["code"] == "overloaded"
    assert (record.end_reason, record.error_code) == ("rejected", "overloaded")
    assert [entry["event"] for entry in log.entries] == ["no memory left for a request"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_mistake_in_an_attempt_is_a_500(
    autojump_clock: MockClock, log: LogCapture, *, stream: bool
) -> None:
    steps: list[Step] = [(1, Head()), (1, Broken())]
    world = World([("a", steps)], stream=stream)
    record = await world.run()
    assert (world.client.status, record.end_reason) == (500, "internal_error")
    assert world.causes == ["internal_error"]
    assert world.health["a/real"].consecutive_failures == 0
    assert len(log.entries) == 1


async def test_a_mistake_in_the_middle_ends_the_answer_unfinished(
    autojump_clock: MockClock, log: LogCapture
) -> None:
    # Raised in the pump, whose nursery wraps it into a group.
    world = World([("a", [(0, Head()), (0, chunk("hi")), (1, Broken())])])
    record = await world.run()
    assert (record.status, record.end_reason) == (200, "internal_error")
    assert world.causes == ["internal_error"]
    assert world.client.finished_at is None
    # The caller is told, in the shape that its SDK raises an error for.
    *_, last = world.client.text.removesuffix(b"\n\n").split(b"\n\n")
    error = msgspec.json.decode(last.removeprefix(b"data: "))["error"]
    assert (error["code"], error["type"]) == ("internal_error", "server_error")
    assert b"[DONE]" not in world.client.text
    assert len(log.entries) == 1


async def test_a_mistake_in_the_watcher_does_not_escape_either(
    autojump_clock: MockClock, log: LogCapture
) -> None:
    class Odd(ScriptedClient):
        async def wait_gone(self) -> None:
            await trio.sleep(3)
            raise Broken

    world = World([("a", [(9, STALL)])], client=Odd(body()))
    world.upstream._plays = [Play("a", SLOW)]
    record = await world.run()
    assert (world.client.status, record.end_reason) == (500, "internal_error")
    assert len(log.entries) == 1


# Other ends...


async def test_a_rejection_is_recorded(autojump_clock: MockClock) -> None:
    async def work(exchange: Exchange) -> None:
        raise InvalidRequest("no", param="x")

    world = World([], routes=["a"])
    record = await world.run(work=work)
    assert (record.status, record.end_reason, record.error) == (400, "rejected", "no")


async def test_names_that_a_caller_chose_are_recorded_in_short(autojump_clock: MockClock) -> None:
    asked = msgspec.json.encode({"model": "m" * 100_000, "user": "u" * 100_000})
    record = await World([], routes=["a"], client=ScriptedClient(asked)).run()
    assert (record.status, record.end_reason) == (404, "rejected")
    assert len(msgspec.json.encode(record)) < 2000


async def test_a_caller_who_does_not_read_a_refusal(autojump_clock: MockClock) -> None:
    world = World([], routes=["a"], client=ScriptedClient(b"{", stalls=1))
    record = await world.run()
    assert (record.status, record.end_reason) == (400, "rejected")
    assert trio.current_time() == 30


async def test_cancelled_from_outside_it_is_still_recorded(autojump_clock: MockClock) -> None:
    world = World([("a", SLOW)])
    with trio.move_on_after(5) as scope:
        await world.exchange()
    assert scope.cancelled_caught
    world.check()
    assert world.record.end_reason == "server_shutting_down"
    assert world.upstream.responses[0].closed_at == 5


async def test_the_first_word_counts(autojump_clock: MockClock) -> None:
    async def work(exchange: Exchange) -> None:
        exchange.settlement.end(EndReason.IDLE_TIMEOUT, "first")
        assert repr(exchange) == "<Exchange req_1 idle_timeout>"
        raise ClientGone

    world = World([], routes=["a"])
    record = await world.run(work=work)
    assert (record.end_reason, record.error) == ("idle_timeout", "first")
