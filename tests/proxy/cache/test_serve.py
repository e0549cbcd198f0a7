"""Hits, misses and what never becomes an entry, over the real pipeline in virtual time."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock

from gateway.config.listener.server import Server
from gateway.core.cache.answers import (
    OVERHEAD,
    CachedAnswer,
    CachePolicy,
)
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.transport_errors import ConnectionLost

from ..crowd import Crowd, Visit
from ..scripts import (
    DONE,
    EOF,
    EVENTS,
    JSON,
    STALL,
    STOP,
    Head,
    ScriptedClient,
    Step,
    answer,
    chunk,
    fails,
    ok,
    status,
)
from ..world import body

SLOW: list[Step] = [
    (1, Head()),
    (1, chunk("hi")),
    (1, chunk("there")),
    (1, STOP),
    (0, DONE),
    (0, EOF),
]


def plain() -> ScriptedClient:
    return ScriptedClient(body(stream=False))


# Hits...


async def test_a_stream_is_replayed_to_the_byte(autojump_clock: MockClock) -> None:
    crowd = Crowd([("a", SLOW)], [Visit(), Visit(at=10.5)])
    await crowd.run()
    first, second = crowd.clients
    assert first.text == second.text
    assert first.text.endswith(DONE)
    assert crowd.marks == [b"miss", b"hit"]
    # Whole seconds since the answer was complete, at 4.
    assert (second.headers[b"age"], b"age" in first.headers) == (b"6", False)
    for name in (b"content-type", b"cache-control", b"x-accel-buffering"):
        assert second.headers[name] == first.headers[name]
    # And at once: one head, one write, and no connection that is kept waiting.
    assert (crowd.done_at, second.writes) == ([4, 10.5], 2)


async def test_a_whole_answer_is_replayed_to_the_byte(autojump_clock: MockClock) -> None:
    crowd = Crowd([("a", answer("ho"))], [Visit(client=plain()), Visit(at=5, client=plain())])
    await crowd.run()
    first, second = crowd.clients
    assert first.text == second.text
    assert json.loads(first.text)["model"] == "m"
    assert crowd.marks == [b"miss", b"hit"]
    assert second.headers[b"content-type"] == b"application/json"
    assert second.headers[b"content-length"] == b"%d" % len(second.text)
    assert second.headers[b"age"] == b"5"


async def test_a_hit_costs_nothing_and_says_so(autojump_clock: MockClock) -> None:
    crowd = Crowd([("a", ok())], [Visit(), Visit(at=1)])
    await crowd.run()
    made, cached = crowd.records
    assert (made.end_reason, made.cached, made.provider) == ("complete", False, "a")
    assert made.cost_nano_usd
    assert (cached.end_reason, cached.cached, cached.status) == ("cached", True, 200)
    assert (cached.cost_nano_usd, cached.input_tokens, cached.output_tokens) == (0, None, None)
    assert (cached.attempts, cached.provider, cached.error) == ([], None, None)


async def test_a_long_stream_is_replayed_in_pieces(autojump_clock: MockClock) -> None:
    long: list[Step] = [
        (0, Head()),
        *[(0.1, chunk("x" * 1000))] * 200,
        (0, STOP),
        (0, DONE),
        (0, EOF),
    ]
    crowd = Crowd([("a", long)], [Visit(), Visit(at=50)])
    await crowd.run()
    first, second = crowd.clients
    assert first.text == second.text
    sizes = [len(data) for _, data in second.sent]
    assert len(sizes) == 4
    assert max(sizes) <= 64 * 1024
    assert all(data.endswith(b"\n\n") for _, data in second.sent)


async def test_keep_alive_comments_are_not_kept(autojump_clock: MockClock) -> None:
    quiet: list[Step] = [(0, Head()), (0, chunk("hi")), (50, STOP), (0, DONE), (0, EOF)]
    crowd = Crowd([("a", quiet)], [Visit(), Visit(at=55)], server=Server(keep_alive_comment=15))
    await crowd.run()
    first, second = crowd.texts
    assert first.count(OPENAI_CHAT.keep_alive) == 3
    assert second == first.replace(OPENAI_CHAT.keep_alive, b"")


async def test_an_answer_expires(autojump_clock: MockClock) -> None:
    # Complete at 4, kept for 60.
    visits = [Visit(), Visit(at=63.9), Visit(at=64)]
    crowd = Crowd([("a", SLOW), ("a", ok("new"))], visits)
    await crowd.run()
    assert crowd.marks == [b"miss", b"hit", b"miss"]
    assert b"new" in crowd.texts[2]


async def test_off_neither_reads_nor_writes(autojump_clock: MockClock) -> None:
    visits = [Visit(ttl=0), Visit(at=1), Visit(at=2, ttl=0), Visit(at=3)]
    crowd = Crowd([("a", ok("1")), ("a", ok("2")), ("a", ok("3"))], visits)
    await crowd.run()
    assert crowd.marks == [None, b"miss", None, b"hit"]
    assert crowd.texts[3] == crowd.texts[1]


async def test_tokens_do_not_see_each_others_answers(autojump_clock: MockClock) -> None:
    visits = [Visit(), Visit(at=1, token="two"), Visit(at=2), Visit(at=3, token="two")]
    crowd = Crowd([("a", ok("1")), ("a", ok("2"))], visits)
    await crowd.run()
    assert crowd.marks == [b"miss", b"miss", b"hit", b"hit"]
    assert crowd.texts[2:] == crowd.texts[:2]


async def test_a_stream_is_no_answer_to_who_wants_none(autojump_clock: MockClock) -> None:
    crowd = Crowd([("a", ok()), ("a", answer())], [Visit(), Visit(at=1, client=plain())])
    await crowd.run()
    assert crowd.marks == [b"miss", b"miss"]


async def test_equal_misses_at_once_each_make_their_call(autojump_clock: MockClock) -> None:
    crowd = Crowd([("a", SLOW), ("a", SLOW)], [Visit(), Visit(), Visit(at=5)])
    await crowd.run()
    assert crowd.marks == [b"miss", b"miss", b"hit"]


# What is not stored...


def with_end(*steps: Step) -> list[Step]:
    return [(0, Head()), (0, chunk("hi")), *steps]


NOT_STORED: dict[str, tuple[list[Step], str, Visit]] = {
    "cut off": (with_end((1, EOF)), "upstream_broke", Visit()),
    "reset": (with_end((1, ConnectionLost("reset"))), "upstream_broke", Visit()),
    "an error event": (
        with_end((1, b'data: {"error":{"message":"no"}}\n\n'), (0, EOF)),
        "upstream_broke",
        Visit(),
    ),
    "an error behind the finish reason": (
        with_end((0, STOP), (1, b'data: {"error":{"message":"no"}}\n\n'), (0, EOF)),
        "upstream_broke",
        Visit(),
    ),
    "silence": (with_end((0, STALL)), "idle_timeout", Visit()),
    "out of time": (with_end(*[(30, chunk("and"))] * 30, (0, EOF)), "total_timeout", Visit()),
    "the caller leaves": (
        with_end((9, STOP)),
        "client_gone",
        Visit(client=ScriptedClient(body(), leaves_at=5)),
    ),
    "the caller stalls": (
        with_end((9, STOP), (0, DONE), (0, EOF)),
        "send_timeout",
        Visit(client=ScriptedClient(body(), stalls=1)),
    ),
    "400": (status(400), "provider_rejected", Visit()),
    "400 to a plain one": (status(400), "provider_rejected", Visit(client=plain())),
    "not even JSON": (
        [(0, Head(200, (JSON,))), (0, b"<html>"), (0, EOF)],
        "",
        Visit(client=plain()),
    ),
}


@pytest.mark.parametrize(("steps", "reason", "visit"), NOT_STORED.values(), ids=NOT_STORED)
async def test_what_is_no_complete_success_is_not_stored(
    autojump_clock: MockClock, steps: list[Step], reason: str, visit: Visit
) -> None:
    crowd = Crowd([("a", steps)] * (1 if reason else 3), [visit])
    await crowd.run(all_played=bool(reason))
    assert len(crowd.cache.store) == 0
    if reason:
        assert crowd.reasons == [reason]


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_errors_of_all_providers_are_not_stored(autojump_clock: MockClock, code: int) -> None:
    crowd = Crowd([("a", status(code)), ("a", status(code)), ("a", status(code))], [Visit()])
    await crowd.run(all_played=False)
    assert len(crowd.cache.store) == 0
    assert crowd.clients[0].refused is not None
    assert crowd.marks == [None]


async def test_the_answer_after_a_failed_attempt_is_stored(autojump_clock: MockClock) -> None:
    plays = [("a", fails(ConnectionLost("reset"))), ("a", ok())]
    crowd = Crowd(plays, [Visit(), Visit(at=20)])
    await crowd.run()
    assert crowd.marks == [b"miss", b"hit"]


async def test_a_caller_who_leaves_with_the_last_write_leaves_the_answer_behind(
    autojump_clock: MockClock,
) -> None:
    client = ScriptedClient(body(), pauses={2: 5.0}, leaves_at=3)
    crowd = Crowd(
        [("a", with_end((1, STOP + DONE), (0, EOF)))], [Visit(client=client), Visit(at=9)]
    )
    await crowd.run()
    assert crowd.marks == [b"miss", b"hit"]
    assert crowd.texts[0] == crowd.texts[1]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_larger_than_an_entry_may_be(
    autojump_clock: MockClock, stream: bool
) -> None:
    steps = ok("x" * 1000) if stream else answer("x" * 1000)
    visits = [Visit(at=at, client=ScriptedClient(body(stream=stream))) for at in (0, 1)]
    crowd = Crowd([("a", steps)] * 2, visits, policy=CachePolicy(max_entry_bytes=1000))
    await crowd.run()
    assert crowd.marks == [b"miss", b"miss"]
    assert len(crowd.cache.store) == 0


async def test_recordings_are_counted_while_they_last(autojump_clock: MockClock) -> None:
    crowd = Crowd([("a", SLOW)], [Visit()])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.run)
        await trio.sleep(3.5)
        store = crowd.cache.store
        assert store.held == len(crowd.texts[0]) > 0
        assert store.stored == 0
    assert store.stored == len(crowd.texts[0]) + OVERHEAD


# Callers who are slow to take a hit...


def long_entry(*, stream: bool = True, seconds: float = 1000) -> CachedAnswer:
    text = chunk("x" * 60_000) * 10 + DONE
    return CachedAnswer(
        dialect="openai_chat",
        status=200,
        headers=(EVENTS,),
        body=text,
        stream=stream,
        created=0,
        ttl=seconds,
    )


async def replay(client: ScriptedClient, *, patience: float, end_at: float | None = None) -> Crowd:
    crowd = Crowd([("a", ok())], [Visit(client=client, patience=patience)])
    entry = long_entry()
    crowd.cache.store.get = lambda key, now, ttl: entry  # type: ignore[method-assign]
    if end_at is None:
        await crowd.run(all_played=False)
    else:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: crowd.run(all_played=False))
            await trio.sleep(end_at)
            crowd.lifecycle.end_requests()
    return crowd


@pytest.mark.parametrize(
    ("client", "patience", "end_at", "at", "reason"),
    [
        (ScriptedClient(body(), leaves_at=3, pauses={2: 9}), 50, None, 3, "client_gone"),
        (ScriptedClient(body(), stalls=3, send_timeout=7), 50, None, 7, "send_timeout"),
        (ScriptedClient(body(), pauses={3: 99}), 5, None, 5, "total_timeout"),
        (ScriptedClient(body(), pauses={3: 99}), 50, 2, 2, "server_shutting_down"),
    ],
)
async def test_a_hit_that_ends_early(
    autojump_clock: MockClock,
    client: ScriptedClient,
    patience: float,
    end_at: float | None,
    at: float,
    reason: str,
) -> None:
    crowd = await replay(client, patience=patience, end_at=end_at)
    assert (crowd.done_at, crowd.reasons) == ([at], [reason])
    record = crowd.records[0]
    assert (record.cached, record.cost_nano_usd) == (True, 0)
    assert DONE not in client.text
    told = reason in client.text.decode()
    assert told == (reason in ("total_timeout", "server_shutting_down"))


async def test_a_hit_cut_before_its_head_is_refused(autojump_clock: MockClock) -> None:
    client = ScriptedClient(body(), pauses={0: 9})
    crowd = await replay(client, patience=5)
    assert crowd.reasons == ["total_timeout"]
    assert (client.status, client.error["code"]) == (504, "upstream_timeout")
