"""What a caller sees before the commit: progress, and anything after a long wait."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gateway.config.listener.server import Server
from gateway.core.routing.hedging import HedgePolicy
from gateway.core.routing.timeouts import Timeouts
from gateway.transport_errors import ConnectionLost

from ..scripts import (
    DONE,
    EOF,
    ROLE,
    STALL,
    STOP,
    Head,
    Play,
    ScriptedClient,
    Step,
    chunk,
    ok,
    status,
)
from ..world import World, body

LOST = ConnectionLost("reset by peer")
COMMENT = b": OPENROUTER PROCESSING\n\n"


def progress(processed: int) -> bytes:
    return (
        b'data: {"model":"real","choices":[{"index":0,"delta":{"content":null}}],'
        b'"prompt_progress":{"total":900,"processed":%d}}\n\n' % processed
    )


def seen(data: bytes) -> bytes:
    return data.replace(b'"real"', b'"m"')


BEGUN: list[Step] = [(0.1, Head()), (0, ROLE), (0, progress(300)), (10, progress(600))]


async def test_progress_goes_through_as_it_comes(autojump_clock: MockClock) -> None:
    steps: list[Step] = [*BEGUN, (19, chunk("hi")), (0, STOP), (0, DONE), (0, EOF)]
    world = World([("a", steps)])
    record = await world.run()
    assert world.client.sent[:3] == [
        (0.1, seen(ROLE + progress(300))),
        (10.1, seen(progress(600))),
        (29.1, seen(chunk("hi"))),
    ]
    assert world.client.headers[b"x-gateway-provider"] == b"a"
    # What is measured is still the first content.
    assert record.first_event_ms == 29_100
    assert record.end_reason == "complete"


@pytest.mark.parametrize("end", [[(1, LOST)], [(1, EOF)], [(0, STALL)]])
async def test_another_attempt_takes_over_in_the_same_stream(
    autojump_clock: MockClock, end: list[Step]
) -> None:
    world = World([("a", [*BEGUN, *end]), ("b", ok("from b"))])
    record = await world.run()
    begun = seen(ROLE + progress(300) + progress(600))
    assert world.client.text == begun + seen(chunk("from b") + STOP) + DONE
    assert world.causes[1] == "ok"
    assert (record.end_reason, record.provider) == ("complete", "b")


async def test_if_all_fail_the_stream_ends_with_an_error(autojump_clock: MockClock) -> None:
    world = World([("a", [*BEGUN, (1, LOST)]), ("b", status(503)), ("a", status(503))])
    record = await world.run()
    assert world.client.status == 200
    assert b'"code":"all_providers_failed"' in world.client.text
    assert DONE not in world.client.text
    assert world.client.finished_at is None
    assert (record.end_reason, record.status) == ("providers_failed", 200)


async def test_a_refusal_comes_as_an_error_event(autojump_clock: MockClock) -> None:
    refusal = b'{"error":{"message":"too long"}}'
    world = World([("a", [*BEGUN, (1, LOST)]), ("b", status(400, body=refusal))])
    record = await world.run()
    assert world.client.text.endswith(b"data: " + refusal + b"\n\n")
    assert record.end_reason == "provider_rejected"


async def test_the_deadline_is_told_in_the_stream(autojump_clock: MockClock) -> None:
    world = World([("a", [*BEGUN, (0, STALL)])], timeouts=Timeouts(total=20))
    record = await world.run()
    assert trio.current_time() == 20
    assert b'"code":"upstream_timeout"' in world.client.text
    assert record.end_reason == "total_timeout"


async def test_after_a_long_wait_everything_goes_through(autojump_clock: MockClock) -> None:
    steps: list[Step] = [(1, Head()), (0, ROLE), (9, COMMENT), (10, COMMENT), (10, COMMENT)]
    steps += [(5, chunk("hi")), (0, STOP), (0, DONE), (0, EOF)]
    world = World([("a", steps)])
    await world.run()
    assert world.client.sent[:3] == [
        (20, seen(ROLE) + COMMENT * 2),
        (30, COMMENT),
        (35, seen(chunk("hi"))),
    ]
    # Without comments of ours there are none of theirs either.
    world = World([("a", steps)], server=Server(keep_alive_comment=0))
    start = trio.current_time()
    await world.run()
    assert world.client.sent[0][0] == start + 35


async def test_an_early_failure_has_its_own_status(autojump_clock: MockClock) -> None:
    steps: list[Step] = [(1, Head()), (0, ROLE), (9, COMMENT), (1, EOF)]
    world = World([("a", steps), ("b", status(400))])
    await world.run()
    assert world.client.status == 400


async def test_hedged_attempts_have_no_preface(autojump_clock: MockClock) -> None:
    steps: list[Step] = [*BEGUN, (19, chunk("hi")), (0, STOP), (0, DONE), (0, EOF)]
    world = World([Play("a", steps)], hedge=HedgePolicy(after=100))
    await world.run()
    assert world.client.sent[0][0] == 29.1


async def test_a_caller_who_takes_nothing_is_dropped(autojump_clock: MockClock) -> None:
    client = ScriptedClient(body(), stalls=1)
    world = World([("a", [*BEGUN, (0, STALL)])], client=client)
    record = await world.run()
    assert record.end_reason == "send_timeout"
    assert world.causes == ["client_gone"]


@pytest.mark.parametrize("timeouts", [Timeouts(first_event=5), Timeouts(total=5)])
async def test_half_an_event_is_followed_by_nothing(
    autojump_clock: MockClock, timeouts: Timeouts
) -> None:
    client = ScriptedClient(body(), pauses={1: 20})
    world = World([("a", [*BEGUN, (0, STALL)])], client=client, timeouts=timeouts)
    record = await world.run()
    assert trio.current_time() == pytest.approx(5, abs=0.2)
    assert client.text == b""
    assert record.end_reason == "send_timeout"
