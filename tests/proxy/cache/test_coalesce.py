"""Equal requests at the same time, over the real pipeline in virtual time."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
from structlog.testing import LogCapture
from trio.testing import MockClock

from gateway.config.listener.server import Server
from gateway.core.cache.answers import CachePolicy
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.routing.timeouts import Timeouts
from gateway.errors import ShuttingDown
from gateway.proxy.cache.coalesce import join
from gateway.proxy.exchange import Exchange
from gateway.transport_errors import ConnectionLost

from ...rounds import swept
from ..crowd import Crowd, Visit
from ..scripts import (
    DONE,
    EOF,
    JSON,
    STALL,
    STOP,
    TOTALS,
    Head,
    Play,
    ScriptedClient,
    Step,
    chunk,
    status,
)
from ..striker import Striker
from ..world import World, body

# Its head at 2, events at 3, 4, 5; complete at 6, closed at 6.1.
STREAM: list[Step] = [
    (1, Head()),
    *[(1, chunk(word)) for word in ("one", "two", "three")],
    (1, STOP + TOTALS + DONE),
    (0.1, EOF),
]
# Complete at 6, too.
ANSWER: list[Step] = [(2, Head(200, (JSON,))), (2, b'{"choices":'), (2, b"[{}]}"), (0, EOF)]

# Who comes at the same moment comes in any order: the second comes a moment later.
NEXT = 0.125


def visitor(**arguments: Any) -> ScriptedClient:
    return ScriptedClient(body(), **arguments)


def plain(**arguments: Any) -> ScriptedClient:
    return ScriptedClient(body(stream=False), **arguments)


def crowd_of(*visits: Visit, plays: Any = None, **more: Any) -> Crowd:
    plays = plays or [Play("a", STREAM, connect=1)]
    return Crowd(plays, visits, coalesce=True, **more)


# One call for all...


async def test_equal_requests_share_one_call(autojump_clock: MockClock) -> None:
    crowd = crowd_of(
        Visit(), Visit(at=NEXT), Visit(at=1.5), Visit(at=4.5), Visit(at=5.9), Visit(at=8)
    )
    await crowd.run()
    assert len(crowd.upstream.calls) == 1
    assert len(set(crowd.texts)) == 1
    assert crowd.texts[0].endswith(DONE)
    assert crowd.marks == [b"miss", *[b"hit"] * 5]
    assert crowd.reasons == ["complete", *["cached"] * 5]
    assert crowd.done_at == [6, 6, 6, 6, 6, 8]
    # It was read to its end, after all had their answer: the connection can be used again.
    assert [(each.kept, each.closed_at) for each in crowd.upstream.responses] == [(True, 6.1)]
    # Since its head was written; of the last one, since it was complete.
    ages = [client.headers.get(b"age") for client in crowd.clients]
    assert ages == [None, b"0", b"0", b"1", b"2", b"2"]


async def test_they_share_a_whole_answer_too(autojump_clock: MockClock) -> None:
    visits = [Visit(at=at, client=plain()) for at in (0, 1, 5, 7)]
    crowd = crowd_of(*visits, plays=[("a", ANSWER)])
    await crowd.run()
    assert len(crowd.upstream.calls) == 1
    assert len(set(crowd.texts)) == 1
    assert crowd.marks == [b"miss", b"hit", b"hit", b"hit"]
    assert json.loads(crowd.texts[0]) == {"choices": [{}]}
    lengths = {client.headers[b"content-length"] for client in crowd.clients}
    assert lengths == {b"%d" % len(crowd.texts[0])}


async def test_followers_get_each_event_when_it_comes(autojump_clock: MockClock) -> None:
    crowd = crowd_of(Visit(), Visit(at=3.5))
    await crowd.run()
    times = [[at for at, _ in client.sent] for client in crowd.clients]
    # Who comes late gets at once what there is, in one write.
    assert times == [[3, 4, 5, 6], [3.5, 4, 5, 6]]


async def test_the_first_pays_and_the_others_do_not(autojump_clock: MockClock) -> None:
    crowd = crowd_of(Visit(), Visit(at=1))
    await crowd.run()
    first, second = crowd.records
    assert (first.cached, first.input_tokens, first.output_tokens) == (False, 100, 20)
    assert first.cost_nano_usd
    assert [row.provider for row in first.attempts] == ["a"]
    assert (first.provider, first.events, first.latency_ms) == ("a", 4, 6000)
    assert (second.cached, second.cost_nano_usd, second.input_tokens) == (True, 0, None)
    assert (second.attempts, second.latency_ms) == ([], 5000)


async def test_what_is_said_of_a_caller_is_said_of_each(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def about(exchange: Exchange) -> list[tuple[bytes, bytes]]:
        return [(b"x-left", exchange.request_id)]

    monkeypatch.setattr(Exchange, "about", about)
    crowd = crowd_of(Visit(), Visit(at=NEXT), Visit(at=8))
    await crowd.run()
    assert crowd.marks == [b"miss", b"hit", b"hit"]
    assert [client.headers[b"x-left"] for client in crowd.clients] == [
        *(b"req_0", b"req_1", b"req_2"),
    ]


async def test_different_requests_do_not_share(autojump_clock: MockClock) -> None:
    visits = [Visit(), Visit(token="two"), Visit(client=ScriptedClient(body(seed=1)))]
    crowd = crowd_of(*visits, plays=[("a", STREAM)] * 3)
    await crowd.run()
    assert crowd.marks == [b"miss"] * 3
    assert len(crowd.upstream.calls) == 3


async def test_off_does_not_share(autojump_clock: MockClock) -> None:
    crowd = crowd_of(Visit(), Visit(at=NEXT, ttl=0), plays=[("a", STREAM)] * 2)
    await crowd.run()
    assert crowd.marks == [b"miss", None]


async def test_comments_reach_who_waits(autojump_clock: MockClock) -> None:
    quiet: list[Step] = [(0, Head()), (0, chunk("hi")), (50, STOP + DONE), (0, EOF)]
    crowd = crowd_of(
        *(Visit(at=at) for at in (0, 20, 60)),
        plays=[("a", quiet)],
        server=Server(keep_alive_comment=15),
    )
    await crowd.run()
    first, second, third = crowd.texts
    assert [text.count(OPENAI_CHAT.keep_alive) for text in crowd.texts] == [3, 2, 0]
    assert (
        first.replace(OPENAI_CHAT.keep_alive, b"")
        == second.replace(OPENAI_CHAT.keep_alive, b"")
        == third
    )


# Leavers...

LEAVES = {"connecting": 0.5, "waiting": 1.5, "before content": 2.5, "within": 4.5, "late": 5.9}


@pytest.mark.parametrize("leaver", [0, 1])
@pytest.mark.parametrize("at", LEAVES.values(), ids=LEAVES)
async def test_who_leaves_does_not_disturb_the_others(
    autojump_clock: MockClock, at: float, leaver: int
) -> None:
    visits = [Visit(), Visit(at=NEXT), Visit(at=NEXT)]
    visits[leaver].client = visitor(leaves_at=at)
    crowd = crowd_of(*visits)
    await crowd.run()
    assert crowd.done_at == [at if number == leaver else 6 for number in range(3)]
    stayed = [text for number, text in enumerate(crowd.texts) if number != leaver]
    assert stayed[0] == stayed[1]
    assert stayed[0].startswith(crowd.texts[leaver])
    assert crowd.reasons[leaver] == "client_gone"
    # The call is on the first one's record, whoever left.
    first = crowd.records[0]
    assert (first.input_tokens, len(first.attempts), first.attempts[0].cause) == (100, 1, None)
    assert first.cost_nano_usd
    assert first.latency_ms == crowd.done_at[0] * 1000
    assert first.end_reason == ("client_gone" if leaver == 0 else "complete")
    assert [record.cost_nano_usd for record in crowd.records[1:]] == [0, 0]
    assert crowd.records[leaver].status == (499 if at < 3 else 200)
    assert len(crowd.cache.store) == 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("at", LEAVES.values(), ids=LEAVES)
async def test_when_all_have_left_the_call_is_cancelled(
    autojump_clock: MockClock, at: float, stream: bool
) -> None:
    clients = [ScriptedClient(body(stream=stream), leaves_at=when) for when in (at, at / 2)]
    visits = [Visit(client=clients[0]), Visit(at=NEXT, client=clients[1])]
    play = Play("a", STREAM, connect=1) if stream else Play("a", ANSWER)
    crowd = crowd_of(*visits, plays=[play])
    await crowd.run()
    assert crowd.done_at == [at, at / 2]
    assert crowd.reasons == ["client_gone", "client_gone"]
    assert all(response.closed_at == at for response in crowd.upstream.responses)
    # Says nothing against the provider.
    assert [row.cause for row in crowd.records[0].attempts] == ["client_gone"]
    assert len(crowd.cache.store) == 0


async def test_who_comes_when_all_have_left_makes_a_new_call(autojump_clock: MockClock) -> None:
    visits = [Visit(client=visitor(leaves_at=3.5)), Visit(at=3.5), Visit(at=3.6)]
    crowd = crowd_of(*visits, plays=[("a", STREAM)] * 2)
    await crowd.run(all_played=False)
    # At 3.5 either is first, and then the call is taken over or made anew.
    calls = len(crowd.upstream.calls)
    assert crowd.marks[1:] == ([b"hit", b"hit"] if calls == 1 else [b"miss", b"hit"])
    assert crowd.texts[1] == crowd.texts[2]
    assert crowd.texts[1].endswith(DONE)


async def test_the_leaver_is_replaced_by_who_comes_later(autojump_clock: MockClock) -> None:
    visits = [Visit(client=visitor(leaves_at=3.5)), Visit(at=3, client=visitor(leaves_at=4.5))]
    crowd = crowd_of(*visits, Visit(at=4))
    await crowd.run()
    assert len(crowd.upstream.calls) == 1
    assert crowd.texts[2].endswith(DONE)
    assert crowd.reasons == ["client_gone", "client_gone", "cached"]


# Failures are shared...


async def test_a_refusal_is_everybodys(autojump_clock: MockClock) -> None:
    plays = [("a", status(400, after=1, body=b'{"error":{"message":"too long"}}'))]
    crowd = crowd_of(Visit(), Visit(at=0.5), plays=plays)
    await crowd.run()
    assert [client.status for client in crowd.clients] == [400, 400]
    assert crowd.texts == [b'{"error":{"message":"too long"}}'] * 2
    assert crowd.reasons == ["provider_rejected"] * 2
    assert crowd.marks == [b"miss", b"miss"]
    first, second = crowd.records
    assert first.error == second.error == "400 too long"
    assert (len(first.attempts), len(second.attempts), second.cached) == (1, 0, False)


async def test_an_error_is_everybodys(autojump_clock: MockClock) -> None:
    plays = [("a", status(503, after=1))] * 3
    crowd = crowd_of(
        Visit(), Visit(at=0.5), Visit(at=0.7, client=visitor(leaves_at=0.9)), plays=plays
    )
    await crowd.run(all_played=False)
    first, second, third = crowd.clients
    assert first.refused is not None
    assert first.refused is second.refused
    assert third.status is None
    assert (first.status, first.text) == (second.status, second.text)
    assert crowd.reasons == ["providers_failed", "providers_failed", "client_gone"]
    assert crowd.records[0].attempts
    assert crowd.records[0].error == crowd.records[1].error


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ((1, EOF), "upstream_broke"),
        ((1, ConnectionLost("reset")), "upstream_broke"),
        ((0, STALL), "idle_timeout"),
    ],
)
async def test_a_stream_that_breaks_breaks_for_all(
    autojump_clock: MockClock, last: Step, reason: str
) -> None:
    visits = [Visit(), Visit(at=3.5)]
    crowd = crowd_of(*visits, plays=[("a", [*STREAM[:4], last])])
    await crowd.run()
    assert crowd.reasons == [reason, reason]
    assert crowd.texts[0] == crowd.texts[1]
    assert b'"error"' in crowd.texts[0]
    assert [client.finished_at for client in crowd.clients] == [None, None]
    assert crowd.records[0].error == crowd.records[1].error
    assert len(crowd.cache.store) == 0
    assert not crowd.records[0].cached


async def test_a_mistake_of_ours_is_everybodys(autojump_clock: MockClock, log: LogCapture) -> None:
    crowd = crowd_of(Visit(), Visit(at=0.5), plays=[("a", [(1, ValueError("oops"))])])
    await crowd.run()
    assert [client.status for client in crowd.clients] == [500, 500]
    assert crowd.reasons == ["internal_error"] * 2
    assert len([entry for entry in log.entries if entry["log_level"] == "error"]) == 1


async def test_a_failed_call_is_not_joined_afterwards(autojump_clock: MockClock) -> None:
    plays = [("a", status(400, after=1)), ("a", STREAM)]
    crowd = crowd_of(Visit(), Visit(at=1.01), plays=plays)
    await crowd.run()
    assert [client.status for client in crowd.clients] == [400, 200]


# Time...


async def test_who_has_less_patience_leaves_alone(autojump_clock: MockClock) -> None:
    visits = [Visit(patience=2.5), Visit(at=NEXT), Visit(at=1, patience=3.5)]
    crowd = crowd_of(*visits)
    await crowd.run()
    assert crowd.done_at == [2.5, 6, 4.5]
    first, second, third = crowd.clients
    assert (first.status, first.error["code"]) == (504, "upstream_timeout")
    assert b"total_timeout" in third.text
    assert third.finished_at is None
    assert second.text.endswith(DONE)
    assert crowd.reasons == ["total_timeout", "cached", "total_timeout"]
    assert crowd.records[0].cost_nano_usd


async def test_the_deadline_is_that_of_the_first(autojump_clock: MockClock) -> None:
    steps: list[Step] = [(0, Head()), *[(1, chunk("and"))] * 30, (0, EOF)]
    crowd = crowd_of(
        *(Visit(at=at) for at in (0, 5)), plays=[("a", steps)], timeouts=Timeouts(total=10)
    )
    await crowd.run()
    assert crowd.done_at == [10, 10]
    assert crowd.reasons == ["total_timeout"] * 2


@pytest.mark.parametrize("at", [0.5, 2.5, 4.5])
async def test_a_shutdown_ends_all(autojump_clock: MockClock, at: float) -> None:
    crowd = crowd_of(Visit(), Visit(at=NEXT))
    await crowd.run_and_end_at(at)
    assert crowd.done_at == [at, at]
    assert crowd.reasons == ["server_shutting_down"] * 2
    for client in crowd.clients:
        assert b"server_shutting_down" in client.text
        assert client.status == (503 if at < 3 else 200)
    assert all(response.closed_at == at for response in crowd.upstream.responses)


async def test_nothing_flies_before_the_service_runs_or_after(autojump_clock: MockClock) -> None:
    world = World([("a", STREAM)], client=visitor())
    flights = world.cache.flights

    async def fly(exchange: Exchange) -> None:
        raise AssertionError("nothing may run")

    async def work(exchange: Exchange) -> None:
        with pytest.raises(ShuttingDown):
            await join(exchange, b"k", fly, ttl=60)
        async with trio.open_nursery() as nursery:
            await nursery.start(flights.run)
            nursery.cancel_scope.cancel()
        await join(exchange, b"k", fly, ttl=60)

    await world.exchange(work=work)
    assert world.record.end_reason == "server_shutting_down"
    assert len(flights) == 0


async def test_a_service_that_is_stopped_hard_still_settles(autojump_clock: MockClock) -> None:
    crowd = crowd_of(Visit(), Visit(at=NEXT))
    with trio.move_on_after(4.5):
        await crowd.run()
    assert crowd.reasons == ["server_shutting_down"] * 2
    assert [response.closed_at for response in crowd.upstream.responses] == [4.5]
    assert len(crowd.records[0].attempts) == 1
    crowd.check()


async def test_when_only_the_flights_are_stopped_callers_are_told(
    autojump_clock: MockClock,
) -> None:
    crowd = crowd_of(Visit(), Visit(at=NEXT))
    flights = crowd.cache.flights

    async def stop() -> None:
        await trio.sleep(2.5)
        assert flights._nursery is not None
        flights._nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        await crowd.run()
    assert [client.status for client in crowd.clients] == [503, 503]
    assert crowd.reasons == ["server_shutting_down"] * 2


# Slow followers...

# 2 MiB in 0.2 s; an event is 2 KiB.
FLOOD: list[Step] = [
    (1, Head()),
    *[(0.001, chunk("x" * 2000) * 10)] * 100,
    (0, STOP + DONE),
    (0, EOF),
]


async def test_who_is_slow_holds_nobody_up_while_there_is_room(autojump_clock: MockClock) -> None:
    slow = visitor(pauses={1: 20, 2: 20})
    crowd = crowd_of(
        Visit(),
        Visit(at=NEXT, client=slow),
        plays=[("a", FLOOD)],
        policy=CachePolicy(max_entry_bytes=2**22),
    )
    await crowd.run()
    assert crowd.done_at[0] == pytest.approx(1.1)
    assert crowd.texts[0] == crowd.texts[1]
    assert crowd.done_at[1] == pytest.approx(41.001)
    assert crowd.reasons == ["complete", "cached"]


async def test_who_stalls_holds_the_others_up_for_its_timeout(autojump_clock: MockClock) -> None:
    stalled = visitor(stalls=2, send_timeout=7)
    crowd = crowd_of(
        Visit(),
        Visit(at=NEXT, client=stalled),
        plays=[("a", FLOOD)],
        server=Server(send_timeout=30),
    )
    await crowd.run()
    assert crowd.reasons == ["complete", "send_timeout"]
    assert 7 < crowd.done_at[0] <= 8.2
    assert len(crowd.texts[0]) > 2_000_000


async def test_who_takes_just_enough_is_dropped_for_the_others(autojump_clock: MockClock) -> None:
    trickler = visitor(pauses=dict.fromkeys(range(1, 1000), 9.0))
    crowd = crowd_of(
        Visit(client=trickler), Visit(at=NEXT), plays=[("a", FLOOD)], server=Server(send_timeout=20)
    )
    await crowd.run()
    assert crowd.reasons == ["send_timeout", "cached"]
    assert 20 < crowd.done_at[1] < 31
    error = crowd.records[0].error
    assert error is not None
    assert "too slowly for others" in error


class Deaf(ScriptedClient):
    """Takes a write to its end, whoever cancels it meanwhile."""

    async def send(self, data: bytes) -> None:
        with trio.CancelScope(shield=True):
            await super().send(data)


async def test_who_was_dropped_within_a_write_gets_nothing_more(autojump_clock: MockClock) -> None:
    deaf = Deaf(body(), pauses={1: 60.0})
    visits = [Visit(at=NEXT), Visit(client=deaf)]
    crowd = crowd_of(*visits, plays=[("a", FLOOD)], server=Server(send_timeout=20))
    await crowd.run()
    assert crowd.reasons == ["cached", "send_timeout"]
    assert 20 < crowd.done_at[0] < 22
    assert crowd.texts[0].startswith(crowd.texts[1])
    assert len(deaf.sent) == 1


async def test_who_is_slow_alone_only_slows_the_provider(autojump_clock: MockClock) -> None:
    slow = visitor(pauses=dict.fromkeys(range(1, 1000), 9.0))
    crowd = crowd_of(Visit(client=slow), plays=[("a", FLOOD)], server=Server(send_timeout=20))
    await crowd.run()
    assert crowd.reasons == ["complete"]
    # It was not read to the end at once: who waits is the provider.
    taken = crowd.upstream.responses[0].taken
    assert taken[-1][0] > 50


async def test_what_is_too_long_to_keep_cannot_be_joined(autojump_clock: MockClock) -> None:
    crowd = crowd_of(
        *(Visit(at=at) for at in (0, 3.5, 4.5)),
        plays=[Play("a", STREAM, connect=1), Play("a", STREAM)],
        policy=CachePolicy(max_entry_bytes=150),
    )
    await crowd.run()
    assert crowd.marks == [b"miss", b"hit", b"miss"]
    assert len(set(crowd.texts)) == 1
    assert len(crowd.cache.store) == 0


# At every step...


def play(at: int, strikes: str, seed: int, *, stream: bool) -> tuple[Crowd, int]:
    striker = Striker(at)
    crowd: Crowd | None = None

    async def main() -> None:
        nonlocal crowd
        clients = [ScriptedClient(body(stream=stream)) for _ in range(3)]
        steps = STREAM if stream else ANSWER
        # At most one call for each: all who were there may have left before the next comes.
        plays = [("a", steps)] * 3
        visits = [
            Visit(at=at, client=client) for at, client in zip((0, NEXT, 3), clients, strict=True)
        ]
        crowd = Crowd(plays, visits, coalesce=True)
        with trio.CancelScope() as scope:

            def leave(*who: int) -> None:
                for number in who:
                    clients[number].leave()

            ways: dict[str, Callable[[], None]] = {
                "first leaves": lambda: leave(0),
                "second leaves": lambda: leave(1),
                "both leave": lambda: leave(0, 1),
                "all leave": lambda: leave(0, 1, 2),
                "shutdown": crowd.lifecycle.end_requests,
                "cancelled": scope.cancel,
            }
            striker.strike = ways[strikes]
            await crowd.run(all_played=False)
        striker.strike = None

    # As tests/proxy/test_cancellation.py does.
    dice: random.Random = trio._core._run._r
    dice.seed(seed)
    trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[striker])
    assert crowd is not None
    return crowd, striker.steps


STRIKES = {
    "first leaves": {1, 2},
    "second leaves": {0, 2},
    "both leave": {2},
    "all leave": set[int](),
    "shutdown": set[int](),
    "cancelled": set[int](),
}


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("strikes", "served"), STRIKES.items(), ids=STRIKES)
def test_a_strike_at_any_step_leaves_nothing_behind(
    strikes: str, served: set[int], stream: bool
) -> None:
    whole, steps = play(10**9, strikes, 0, stream=stream)
    text = whole.texts[0]
    for at in swept(steps, list(STRIKES).index(strikes)):
        crowd, _ = play(at, strikes, at // 3 % 3, stream=stream)
        if strikes == "cancelled" and len(crowd._records.all) < len(crowd.visits):
            # Cancelled before a visit had begun: its exchange was never made.
            continue
        crowd.check(all_played=False)
        for number in served:
            assert crowd.texts[number] == text, f"step {at}"
        for client, record in zip(crowd.clients, crowd.records, strict=True):
            assert record.end_reason in (
                *("complete", "cached", "client_gone", "server_shutting_down"),
            )
            if record.end_reason in ("complete", "cached"):
                assert client.text == text, f"step {at}"
        paying = [record for record in crowd.records if record.attempts]
        assert len(paying) <= len(crowd.upstream.calls)
