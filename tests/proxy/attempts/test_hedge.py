"""Hedged requests: a second deployment beside a slow first one, to the tick."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.core.limits.estimate import estimate_tokens
from gateway.core.routing.attempts import RetryPolicy
from gateway.core.routing.hedging import HedgeCap, HedgePolicy
from gateway.core.routing.retry_budget import RetryBudgetPolicy
from gateway.proxy.options import ClientOptions

from ..scripts import (
    DONE,
    EOF,
    SILENCE,
    STALL,
    STOP,
    TOTALS,
    Head,
    Play,
    ScriptedClient,
    Step,
    answer,
    chunk,
    ok,
    status,
)
from ..world import State, World, body, deployment

AFTER_ONE = HedgePolicy(after=1.0)
PROMPT = estimate_tokens(body(), 0)
# The prompt at 2 USD a million tokens, in billionths of a dollar.
PROMPT_COST = PROMPT * 2_000
ANSWER_COST = 300_000
# Its first event comes after 2 s, its end 5 s later.
LONG: list[Step] = [
    (2, Head()),
    (0, chunk("from b")),
    (5, STOP + TOTALS + DONE),
    (0, EOF),
]


def hedged(
    plays: Sequence[tuple[str, Sequence[Step]] | Play],
    *,
    hedge: HedgePolicy = AFTER_ONE,
    cap: HedgeCap | None = None,
    **more: Any,
) -> World:
    more.setdefault("routes", ["a", "b"])
    return World(plays, hedge=hedge, hedge_cap=cap or HedgeCap(), **more)


def budget(**policy: Any) -> State:
    return State(retry=RetryPolicy(budget=RetryBudgetPolicy(**policy)))


# Who wins...


async def test_the_hedge_wins(autojump_clock: MockClock) -> None:
    world = hedged([("a", [(0.5, Head()), (0, STALL)]), ("b", LONG)])
    record = await world.run()
    assert world.upstream.called == [(0, "a"), (1, "b")]
    assert world.causes == ["hedged", "ok"]
    assert b"from b" in world.client.text
    assert world.client.headers[b"x-gateway-provider"] == b"b"
    assert world.client.headers[b"x-gateway-attempts"] == b"2"
    assert world.client.sent[0][0] == 3
    # The loser ends when the race does, not with the winner's answer.
    assert world.upstream.responses[0].closed_at == 3
    assert trio.current_time() == 8
    first, second = record.attempts
    assert (first.duration_ms, second.duration_ms) == (3000, 7000)
    assert (first.first_event_ms, second.first_event_ms) == (None, 2000)
    assert (first.cost_nano_usd, second.cost_nano_usd) == (PROMPT_COST, None)
    assert record.cost_nano_usd == ANSWER_COST + PROMPT_COST
    assert (record.first_event_ms, record.end_reason) == (3000, "complete")
    # To be slower than another is no failure, but it is known to be slow.
    assert world.health["a/real"].consecutive_failures == 0
    assert world.health["a/real"].first_event.value == 3


async def test_a_loser_gives_its_place_back_while_the_winner_still_talks(
    autojump_clock: MockClock,
) -> None:
    world = hedged([("a", SILENCE), ("b", LONG)])
    seen: list[tuple[int, int]] = []

    async def look() -> None:
        for at in (2.5, 3.5):
            await trio.sleep_until(at)
            a = next(iter(world.state.health.targets))
            seen.append((a.in_flight, world.traffic.provider("a").held))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await world.run()
    assert seen == [(1, 1), (0, 0)]


async def test_the_first_wins(autojump_clock: MockClock) -> None:
    world = hedged([("a", ok("from a", after=2)), ("b", [(0.5, Head()), (0, STALL)])])
    record = await world.run()
    assert world.upstream.called == [(0, "a"), (1, "b")]
    assert world.causes == ["ok", "hedged"]
    assert b"from a" in world.client.text
    assert trio.current_time() == 2
    assert world.upstream.responses[1].closed_at == 2
    assert [row.duration_ms for row in record.attempts] == [2000, 1000]
    assert [row.cost_nano_usd for row in record.attempts] == [None, PROMPT_COST]
    assert record.cost_nano_usd == ANSWER_COST + PROMPT_COST
    assert record.provider == "a"


async def test_whole_answers_are_hedged_too(autojump_clock: MockClock) -> None:
    world = hedged([("a", answer(after=9)), ("b", answer("from b", after=2))], stream=False)
    record = await world.run()
    assert trio.current_time() == 3
    assert world.causes == ["hedged", "ok"]
    assert b"from b" in world.client.text
    prompt = estimate_tokens(body(stream=False), 0)
    assert record.cost_nano_usd == ANSWER_COST + prompt * 2_000


async def test_a_quick_first_has_nobody_beside_it(autojump_clock: MockClock) -> None:
    world = hedged([("a", ok(after=0.9))])
    record = await world.run()
    assert (world.causes, record.cost_nano_usd) == (["ok"], ANSWER_COST)


@pytest.mark.parametrize("seed", range(8))
def test_of_two_that_commit_at_once_one_is_shown(seed: int) -> None:
    world: World | None = None

    async def main() -> None:
        nonlocal world
        world = hedged([("a", ok("one", after=3)), ("b", ok("one", after=2))])
        await world.run()
        assert trio.current_time() == 3

    dice: random.Random = trio._core._run._r
    dice.seed(seed)
    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert world is not None
    assert sorted(world.causes) == ["hedged", "ok"]
    assert world.client.text.count(b"one") == 1
    assert world.record.cost_nano_usd == ANSWER_COST + PROMPT_COST


async def test_up_to_max_extra_run_beside_the_first(autojump_clock: MockClock) -> None:
    policy = HedgePolicy(after=1.0, max_extra=2)
    routes = ["a", "b", "c", "d"]
    world = hedged(
        [("a", SILENCE), ("b", SILENCE), ("c", ok(after=9))],
        hedge=policy,
        routes=routes,
    )
    await world.run()
    assert world.upstream.called == [(0, "a"), (1, "b"), (2, "c")]
    assert world.causes == ["hedged", "hedged", "ok"]


# Failures...


async def test_a_first_that_fails_early_is_not_hedged_but_followed(
    autojump_clock: MockClock,
) -> None:
    world = hedged([("a", status(503, after=0.5)), ("b", ok(after=4))])
    record = await world.run()
    assert world.upstream.called == [(0, "a"), (0.5, "b")]
    assert world.causes == ["server_error", "ok"]
    assert record.cost_nano_usd == ANSWER_COST


@pytest.mark.parametrize("seed", range(8))
def test_a_first_that_fails_when_its_hedge_is_due(seed: int) -> None:
    world: World | None = None

    async def main() -> None:
        nonlocal world
        world = hedged([("a", status(503, after=1)), ("b", ok(after=1))])
        await world.run()
        assert trio.current_time() == 2

    dice: random.Random = trio._core._run._r
    dice.seed(seed)
    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert world is not None
    assert world.upstream.called == [(0, "a"), (1, "b")]
    assert world.causes == ["server_error", "ok"]
    assert world.record.cost_nano_usd == ANSWER_COST


async def test_a_first_may_win_after_its_hedge_has_failed(autojump_clock: MockClock) -> None:
    world = hedged([("a", ok("from a", after=3)), ("b", status(503, after=0.5))])
    record = await world.run()
    assert trio.current_time() == 3
    assert world.causes == ["ok", "server_error"]
    assert [row.duration_ms for row in record.attempts] == [3000, 500]
    assert b"from a" in world.client.text
    # What failed before anything was said costs nothing.
    assert record.cost_nano_usd == ANSWER_COST
    assert world.health["b/real"].consecutive_failures == 1


async def test_a_hedge_may_win_after_the_first_has_failed(autojump_clock: MockClock) -> None:
    world = hedged([("a", status(503, after=2)), ("b", ok("from b", after=3))])
    record = await world.run()
    assert trio.current_time() == 4
    assert world.causes == ["server_error", "ok"]
    assert [row.duration_ms for row in record.attempts] == [2000, 3000]


async def test_when_both_fail_the_next_attempt_follows(autojump_clock: MockClock) -> None:
    world = hedged(
        [("a", status(503, after=3)), ("b", status(500, after=1)), ("c", ok())],
        routes=["a", "b", "c"],
    )
    await world.run()
    assert world.upstream.called == [(0, "a"), (1, "b"), (3, "c")]
    assert world.causes == ["server_error", "server_error", "ok"]


async def test_when_all_fail_the_caller_is_told_of_each(autojump_clock: MockClock) -> None:
    world = hedged(
        [("a", status(503, after=3)), ("b", status(500, after=1))],
        retry=RetryPolicy(max_attempts=2),
    )
    await world.run()
    assert (world.client.status, trio.current_time()) == (502, 3)
    message = world.client.error["message"]
    assert "a/real: server_error (503 no)" in message
    assert "b/real: server_error (500 no)" in message
    assert world.client.headers[b"x-gateway-attempts"] == b"2"


async def test_a_refusal_of_the_request_itself_decides_at_once(
    autojump_clock: MockClock,
) -> None:
    words = b'{"error":{"message":"bad"}}'
    world = hedged([("a", status(400, after=1.5, body=words)), ("b", SILENCE)])
    record = await world.run()
    assert trio.current_time() == 1.5
    assert (world.client.status, world.client.text) == (400, words)
    assert world.causes == ["rejected", "hedged"]
    assert (record.provider, record.end_reason) == ("a", "provider_rejected")
    # The provider that was cut off has read the prompt.
    assert record.cost_nano_usd == PROMPT_COST


@pytest.mark.parametrize("code", [400, 404])
async def test_a_hedge_s_refusal_does_not_end_a_first_that_is_well(
    autojump_clock: MockClock, code: int
) -> None:
    """It may be with a provider that does not know the model, or takes a shorter prompt."""
    world = hedged([("a", ok("from a", after=3)), ("b", status(code, after=0.5))])
    record = await world.run()
    assert trio.current_time() == 3
    assert world.causes == ["ok", "rejected"]
    assert [row.duration_ms for row in record.attempts] == [3000, 500]
    assert b"from a" in world.client.text
    assert (world.client.status, record.provider) == (200, "a")
    # A refusal costs nothing.
    assert record.cost_nano_usd == ANSWER_COST


async def test_a_hedge_s_refusal_is_shown_when_the_first_fails_as_well(
    autojump_clock: MockClock,
) -> None:
    words = b'{"error":{"message":"bad"}}'
    world = hedged([("a", status(503, after=3)), ("b", status(400, after=0.5, body=words))])
    record = await world.run()
    assert trio.current_time() == 3
    assert (world.client.status, world.client.text) == (400, words)
    assert (record.provider, record.end_reason) == ("b", "provider_rejected")


async def test_a_hedge_stays_with_the_model_that_was_asked_for(
    autojump_clock: MockClock,
) -> None:
    """A fallback is another model: it is for when this one fails, not for when it is slow."""
    world = hedged([("a", ok(after=5))], routes=["a"], fallbacks=[deployment("b")])
    await world.run()
    assert world.causes == ["ok"]
    world = hedged(
        [("a", status(503, after=2)), ("a", status(503)), ("b", ok())],
        routes=["a"],
        fallbacks=[deployment("b")],
    )
    start = trio.current_time()
    await world.run()
    assert [name for _, name in world.upstream.called] == ["a", "a", "b"]
    assert world.upstream.called[0] == (start, "a")


async def test_a_refusal_by_the_hedge_does_not_end_the_first(autojump_clock: MockClock) -> None:
    world = hedged([("a", ok("late", after=3)), ("b", status(404, after=0.5))])
    record = await world.run()
    assert (world.client.status, trio.current_time()) == (200, 3)
    assert world.causes == ["ok", "rejected"]
    assert record.provider == "a"


async def test_a_refusal_decides_though_the_hedge_has_failed_before(
    autojump_clock: MockClock,
) -> None:
    words = b'{"error":{"message":"bad"}}'
    world = hedged([("a", status(400, after=2, body=words)), ("b", status(503, after=0.5))])
    record = await world.run()
    assert trio.current_time() == 2
    assert (world.client.status, world.client.text) == (400, words)
    assert (record.provider, record.end_reason) == ("a", "provider_rejected")


async def test_a_refused_key_is_followed_by_another_though_the_hedge_has_failed(
    autojump_clock: MockClock,
) -> None:
    routes = [deployment("a", keys=(b"k1", b"k2")), deployment("b")]
    world = hedged([("a", status(401, after=2)), ("b", status(503)), ("a", ok())], routes=routes)
    await world.run()
    assert world.upstream.called == [(0, "a"), (1, "b"), (2, "a")]
    assert world.causes == ["auth_failed", "server_error", "ok"]


# What may be hedged...


async def test_there_is_no_hedge_without_another_deployment(autojump_clock: MockClock) -> None:
    cap = HedgeCap()
    world = hedged([("a", ok(after=5))], routes=["a"], cap=cap)
    await world.run()
    assert world.causes == ["ok"]
    assert [cap.spend() for _ in range(4)] == [True, True, True, False]


async def test_a_caller_who_wants_one_attempt_gets_no_second(autojump_clock: MockClock) -> None:
    world = hedged([("a", ok(after=5))])
    await world.run(asked=ClientOptions(single=True))
    assert world.causes == ["ok"]


async def test_the_usual_latency_takes_twenty_samples_to_know(autojump_clock: MockClock) -> None:
    state, cap, policy = State(), HedgeCap(), HedgePolicy()
    for number in range(20):
        # The eleventh is slow and has nobody beside it: too little is known.
        usual = 9.0 if number == 10 else 0.5
        world = hedged([("a", ok(after=usual))], hedge=policy, cap=cap, state=state)
        await world.run()
        assert world.causes == ["ok"]
    # With fifty, one that was slow does not matter.
    for _ in range(30):
        world = hedged([("a", ok(after=0.25))], hedge=policy, cap=cap, state=state)
        await world.run()
    start = trio.current_time()
    world = hedged([("a", SILENCE), ("b", ok(after=1))], hedge=policy, cap=cap, state=state)
    await world.run()
    assert world.upstream.called == [(start, "a"), (start + 0.5, "b")]
    assert world.causes == ["hedged", "ok"]


async def test_one_request_in_twenty_is_hedged_and_a_few_in_reserve(
    autojump_clock: MockClock,
) -> None:
    state, cap = budget(per_second=100, concurrent_min=100), HedgeCap()
    extra = []
    for number in range(100):
        world = hedged([("a", ok(after=2)), ("b", SILENCE)], cap=cap, state=state)
        await world.run(all_played=False)
        extra += [number] * (len(world.upstream.calls) - 1)
    # Three in reserve, which nobody can save more than, and 99 twentieths after the first.
    assert extra[:3] == [0, 1, 2]
    assert len(extra) == 7
    # Each takes what twenty requests have brought.
    assert extra[4:] == [extra[3] + 20, extra[3] + 40, extra[3] + 60]


async def test_a_hedge_is_charged_to_the_retry_budget(autojump_clock: MockClock) -> None:
    # One later attempt a minute.
    state = budget(per_second=1 / 60, ratio=0)
    calls = []
    for at in (0, 10, 70):
        await trio.sleep_until(at)
        world = hedged([("a", ok(after=2)), ("b", SILENCE)], state=state)
        await world.run(all_played=False)
        calls.append(len(world.upstream.calls))
    assert calls == [2, 1, 2]


async def test_a_hedge_may_not_go_beyond_the_retry_budget_but_a_fallback_may(
    autojump_clock: MockClock,
) -> None:
    world = hedged([("a", status(503, after=2)), ("b", ok())], state=budget(per_second=0, ratio=0))
    await world.run()
    assert world.upstream.called == [(0, "a"), (2, "b")]
    assert world.causes == ["server_error", "ok"]


async def test_a_hedge_beyond_the_cap_leaves_the_deployment_for_a_fallback(
    autojump_clock: MockClock,
) -> None:
    cap = HedgeCap()
    while cap.spend():
        pass
    world = hedged(
        [("a", status(503, after=2)), ("b", status(503)), ("c", ok())],
        cap=cap,
        routes=["a", "b", "c"],
    )
    await world.run()
    assert world.upstream.called == [(0, "a"), (2, "b"), (2, "c")]
    assert world.causes == ["server_error", "server_error", "ok"]


async def test_a_hedge_does_not_queue(autojump_clock: MockClock) -> None:
    """Nobody needs it: it would stand in the way of those who need the slot."""
    world = hedged([("a", status(503, after=2)), ("b", ok())])
    slots = world.traffic.provider("b")
    slots.limit = 1
    assert slots.acquire_nowait()

    async def give() -> None:
        await trio.sleep(1.5)
        assert slots.waiting == 0
        slots.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give)
        await world.run()
    assert world.upstream.called == [(0, "a"), (2, "b")]


async def test_a_hedge_that_finds_an_open_breaker_is_none(autojump_clock: MockClock) -> None:
    state = State()
    world = hedged([("a", ok(after=3))], state=state)
    _, b = state.health.targets
    b.breaker.trip(0.0, lambda: 0.5)
    await world.run()
    assert world.causes == ["ok"]


# The end of both...


async def test_a_caller_who_leaves_ends_both(autojump_clock: MockClock) -> None:
    client = ScriptedClient(body(), leaves_at=2.5)
    world = hedged([("a", [(0.5, Head()), (0, STALL)]), ("b", [(1, Head()), (0, STALL)])])
    world.client = client
    record = await world.run()
    assert trio.current_time() == 2.5
    assert world.causes == ["client_gone", "client_gone"]
    assert [response.closed_at for response in world.upstream.responses] == [2.5, 2.5]
    assert record.cost_nano_usd is None
    assert all(each.failures.total() == 1 for each in world.health.values())
    assert all(each.consecutive_failures == 0 for each in world.health.values())


async def test_the_deadline_ends_both(autojump_clock: MockClock) -> None:
    world = hedged([("a", SILENCE), ("b", SILENCE)])
    record = await world.run(asked=ClientOptions(timeout=3.0))
    assert trio.current_time() == 3
    assert (world.client.status, record.end_reason) == (504, "total_timeout")
    assert world.causes == ["total_timeout", "total_timeout"]


async def test_a_drain_takes_nothing_from_who_runs_a_race(autojump_clock: MockClock) -> None:
    world = hedged([("a", ok(after=4))])
    slots = world.traffic.provider("b")
    slots.limit = 1
    assert slots.acquire_nowait()

    async def drain() -> None:
        await trio.sleep(1.25)
        world.lifecycle.start_drain()
        slots.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain)
        await world.run()
    assert (world.client.status, world.causes) == (200, ["ok"])
