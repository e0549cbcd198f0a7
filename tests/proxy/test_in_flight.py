"""What the list of exchanges in flight shows of a request at each moment of it."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from gateway.config.listener.server import Server
from gateway.proxy.in_flight import InFlight, InFlightRow

from .crowd import Crowd, Visit
from .scripts import DONE, EOF, STOP, TOTALS, Head, Play, ScriptedClient, Step, chunk, status
from .world import World, body

# Its head at 1, events at 2, 3 and 4; complete at 5.
STREAM: list[Step] = [
    (1, Head()),
    *[(1, chunk(word)) for word in ("one", "two", "three")],
    (1, STOP + TOTALS + DONE),
    (0, EOF),
]


async def seen(world: World | Crowd, at: float) -> list[InFlightRow]:
    """Return what the list shows at a moment."""
    await trio.sleep_until(at)
    return list(world.in_flight.rows(trio.current_time(), 100))


async def test_a_stream_from_its_first_byte_to_its_last(autojump_clock: MockClock) -> None:
    client = ScriptedClient(body(), body_at=0.5)
    world = World([Play("a", STREAM, connect=1)], client=client)
    found: list[InFlightRow] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.run)
        for at in (0.25, 0.75, 2.75, 3.75, 4.75):
            found += await seen(world, at)
    unknown, asked, *streaming = found
    assert unknown == InFlightRow(
        request_id="req_1",
        token="tester",
        client_ip="192.0.2.1",
        model=None,
        stream=False,
        provider=None,
        provider_model=None,
        attempts=0,
        events=0,
        age_s=0.25,
        shared=False,
        started=unknown.started,
    )
    # The deployment is shown from the moment it is asked, before it has answered.
    assert (asked.model, asked.stream, asked.age_s) == ("m", True, 0.75)
    assert (asked.provider, asked.provider_model, asked.attempts) == ("a", "real", 1)
    assert [row.events for row in streaming] == [0, 1, 2]
    assert {(row.provider, row.attempts) for row in streaming} == {("a", 1)}
    assert list(world.in_flight.rows(0.0, 100)) == []
    assert world.record.events == 4


async def test_the_target_is_the_one_that_is_asked_now(autojump_clock: MockClock) -> None:
    world = World([("a", [(1, Head(503)), (0, b"{}"), (0, EOF)]), ("b", STREAM)])
    found: list[InFlightRow] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.run)
        for at in (0.5, 3.5):
            found += await seen(world, at)
    assert [(row.provider, row.attempts) for row in found] == [("a", 1), ("b", 2)]


async def test_between_two_attempts_no_deployment_is_asked(autojump_clock: MockClock) -> None:
    world = World([Play("a", status(503), connect=1), ("a", STREAM)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.run)
        (waiting,) = await seen(world, 1.0625)
        assert (waiting.provider, waiting.provider_model, waiting.attempts) == (None, None, 1)
        (again,) = await seen(world, 2.5)
        assert (again.provider, again.attempts) == ("a", 2)


async def test_a_shared_call_has_a_row_beside_its_callers(autojump_clock: MockClock) -> None:
    crowd = Crowd(
        [Play("a", STREAM, connect=1)], [Visit(), Visit(at=1.0)], coalesce=True, server=Server()
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.run)
        found = await seen(crowd, 3.5)
    assert [(row.request_id, row.shared, row.provider, row.events) for row in found] == [
        ("req_0", False, None, 0),
        ("req_0", True, "a", 1),
        ("req_1", False, None, 0),
    ]
    # The call is as old as the request of its first caller.
    assert [row.age_s for row in found] == [3.5, 3.5, 2.5]


async def test_a_caller_that_leaves_is_off_the_list_at_once(autojump_clock: MockClock) -> None:
    client = ScriptedClient(body(), leaves_at=1.5)
    world = World([("a", STREAM)], client=client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.run)
        assert len(await seen(world, 1.25)) == 1
        assert await seen(world, 1.75) == []


async def test_the_oldest_come_first_and_the_limit_keeps_them(autojump_clock: MockClock) -> None:
    streams = [Visit(at=number, ttl=0) for number in range(3)]
    crowd = Crowd([("a", STREAM)] * 3, streams)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.run)
        await trio.sleep_until(2.5)
        ids = [row.request_id for row in crowd.in_flight.rows(2.5, 2)]
        assert (ids, len(crowd.in_flight)) == (["req_0", "req_1"], 3)


async def test_to_leave_twice_is_to_leave(autojump_clock: MockClock) -> None:
    listed = InFlight()

    async def work(exchange: object) -> None:
        listed.enter(exchange)  # type: ignore[arg-type]
        assert repr(listed) == "<InFlight 1 exchanges>"
        listed.leave(exchange)  # type: ignore[arg-type]
        listed.leave(exchange)  # type: ignore[arg-type]

    await World([], routes=["a"]).exchange(work=work)
    assert len(listed) == 0
