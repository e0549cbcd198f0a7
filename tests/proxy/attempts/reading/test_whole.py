"""Whole answers through the whole proxy: when they have ended, and how long they are waited for."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway.core.routing.timeouts import Timeouts
from gateway.proxy.attempts.reading.whole import read_whole

from ...scripts import DONE, EOF, EVENTS, JSON, STALL, STOP, TOTALS, Head, Step, answer, chunk
from ...world import World

# Streams that nobody asked for, and that do not end...


def without_end(*pieces: bytes, pace: float = 0.5) -> list[Step]:
    return [(0, Head(200, (EVENTS,))), *((pace, each) for each in pieces), (0, STALL)]


PING = b": ping\n\n"


@pytest.mark.parametrize(
    ("pieces", "at"),
    [
        # At its end, and a moment for the connection to be used again.
        ([chunk("hi"), STOP, TOTALS + DONE], 1.5 + 0.25),
        ([chunk("hi") + STOP + TOTALS + DONE[:-1]], 1.5),
        ([chunk("hi"), STOP], 2),
        ([chunk("hi"), STOP, *[PING] * 90], 2),
        ([chunk("hi"), STOP + TOTALS, *[b"data: null\n\n"] * 90], 2),
    ],
    ids=["done", "done but for its blank line", "silence", "comments", "null"],
)
async def test_a_stream_for_an_answer_is_read_to_its_end_only(
    autojump_clock: MockClock, pieces: list[bytes], at: float
) -> None:
    world = World([("a", without_end(*pieces))], stream=False)
    record = await world.run()
    assert record.end_reason == "complete"
    assert trio.current_time() == at
    assert world.causes == ["ok"]
    found = msgspec.json.decode(world.client.text)
    assert found["choices"][0]["message"]["content"] == "hi"


async def test_one_that_breaks_off_in_silence_is_asked_for_once(autojump_clock: MockClock) -> None:
    world = World([("a", without_end(chunk("hi"))), ("b", answer())], stream=False)
    await world.run()
    assert world.upstream.called == [(0, "a"), (60.5, "b")]
    assert world.causes == ["idle_timeout", "ok"]


async def test_one_that_ends_keeps_its_connection(autojump_clock: MockClock) -> None:
    steps: list[Step] = [
        *without_end(chunk("hi"), STOP + TOTALS + DONE)[:-1],
        (0.1, EOF),
    ]
    world = World([("a", steps)], stream=False)
    await world.run()
    assert trio.current_time() == pytest.approx(1.1)
    assert world.upstream.responses[0].kept


class Pieces:
    """A body in pieces."""

    status = 200
    headers = ()

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces, b""]

    async def receive_some(self) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._pieces.pop(0)

    async def aclose(self) -> None:
        self._pieces = [b""]


async def test_what_is_never_streamed_is_read_whatever_it_is() -> None:
    """Embeddings have no reader of streams, and a body of events is no answer to them."""
    body = await read_whole(Pieces(b"data: 1\n\n", b"data: [DONE]\n\n", b": more"), 100, 60, None)
    assert body == b"data: 1\n\ndata: [DONE]\n\n: more"


# How long a whole answer takes...


@pytest.mark.parametrize("early", [[], [(30.0, b"\n"), (30.0, b" \n")]])
async def test_a_head_long_before_its_body_is_no_silence(
    autojump_clock: MockClock, early: list[Step]
) -> None:
    body = msgspec.json.encode({"choices": [{"message": {"content": "hi"}}]})
    steps: list[Step] = [(0.1, Head(200, (JSON,))), *early, (300, body), (0, EOF)]
    world = World([("a", steps)], stream=False)
    record = await world.run()
    assert record.end_reason == "complete"
    assert world.client.text.lstrip() == body


async def test_total_bounds_it(autojump_clock: MockClock) -> None:
    steps: list[Step] = [(0.1, Head(200, (JSON,))), (0, STALL)]
    world = World([("a", steps)], stream=False, timeouts=Timeouts(total=200))
    record = await world.run()
    assert trio.current_time() == 200
    assert (world.client.status, record.end_reason) == (504, "total_timeout")


async def test_a_body_that_has_begun_may_not_stall(autojump_clock: MockClock) -> None:
    steps: list[Step] = [(0, Head(200, (JSON,))), (100, b'{"choi'), (0, STALL)]
    world = World([("a", steps), ("b", answer())], stream=False)
    await world.run()
    assert world.upstream.called == [(0, "a"), (160, "b")]
    assert world.causes == ["idle_timeout", "ok"]
