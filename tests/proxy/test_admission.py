"""A caller's limits: one step for all of them, and nothing held when its request is over."""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway.config.callers import Caller
from gateway.core.cache.answers import ModelCache
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.limits.budget import Budget
from gateway.core.limits.estimate import estimate_tokens
from gateway.core.limits.ledger import Demand, Scope, ScopeLimits
from gateway.core.records.pricing import Prices
from gateway.core.routing.hedging import HedgeCap, HedgePolicy
from gateway.errors import GatewayError
from gateway.lifecycle import Lifecycle
from gateway.proxy.admission import admit
from gateway.proxy.exchange import Exchange
from gateway.proxy.operations.chat import serve_chat
from gateway.proxy.options import ClientOptions
from gateway.proxy.services import Services
from gateway.proxy.traffic.control import TrafficControl

from ..rounds import rounds
from .attempts.test_lease import Answering
from .scripts import (
    DONE,
    EOF,
    SILENCE,
    STALL,
    STOP,
    TOTALS,
    Head,
    ScriptedClient,
    Step,
    answer,
    chunk,
    ok,
    status,
)
from .world import KEY, Records, State, World, body, deployment

PROMPT = estimate_tokens(body(), 0)
USED = 120  # what TOTALS say
COST = 300_000


def caller(
    limits: ScopeLimits | None = None, budget: Budget | None = None, *shared: Scope, **more: Any
) -> Caller:
    scopes = (Scope("token:t", limits or ScopeLimits(), budget), *shared)
    return Caller(
        name="t",
        digest=hashlib.sha256(KEY).digest(),
        models=frozenset(),
        beginnings=("",),
        scopes=scopes,
        limited=True,
        **more,
    )


class Process:
    """Requests of one caller to one gateway, one after another or side by side."""

    def __init__(self, who: Caller) -> None:
        self.state = State()
        self.who = who
        self.traffic = TrafficControl(Lifecycle())

    def request(self, *plays: Any, **more: Any) -> World:
        more.setdefault("routes", ["a"])
        world = World(plays, state=self.state, callers=[self.who], **more)
        world.traffic = self.traffic
        return world

    async def ask(self, *plays: Any, **more: Any) -> ScriptedClient:
        world = self.request(*plays, **more)
        await world.run()
        return world.client


def left(client: ScriptedClient, kind: str = "requests") -> list[str]:
    """Return limit, what remains of it and when it is whole again."""
    names = [f"x-ratelimit-{each}-{kind}" for each in ("limit", "remaining", "reset")]
    return [client.headers[name.encode()].decode() for name in names]


# Requests a minute...


async def test_requests_beyond_the_limit_are_refused_in_openai_s_words(
    autojump_clock: MockClock,
) -> None:
    process = Process(caller(ScopeLimits(rpm=2)))
    assert left(await process.ask(("a", ok()))) == ["2", "1", "30s"]
    assert left(await process.ask(("a", ok()))) == ["2", "0", "1m0s"]
    world = process.request()
    record = await world.run()
    client = world.client
    assert client.status == 429
    assert client.error == {
        "message": "rate limit reached for requests: limit 2 per minute",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert client.headers[b"retry-after"] == b"30"
    assert client.headers[b"retry-after-ms"] == b"30000"
    assert client.headers[b"x-should-retry"] == b"true"
    assert left(client) == ["2", "0", "1m0s"]
    assert b"x-gateway-attempts" not in client.headers
    assert (record.end_reason, record.token) == ("rejected", "t")
    # It was charged nothing: when it was told to come back it is let in.
    await trio.sleep(30)
    assert left(await process.ask(("a", ok()))) == ["2", "0", "1m0s"]


@pytest.mark.parametrize("code", [400, 404])
async def test_a_relayed_refusal_says_what_is_left(autojump_clock: MockClock, code: int) -> None:
    theirs = (b"x-ratelimit-remaining-requests", b"4999")
    client = await Process(caller(ScopeLimits(rpm=2))).ask(("a", status(code, theirs)))
    assert client.status == code
    assert left(client) == ["2", "1", "30s"]
    assert client.headers[b"x-gateway-attempts"] == b"1"


async def test_our_own_refusal_says_what_is_left(autojump_clock: MockClock) -> None:
    process = Process(caller(ScopeLimits(rpm=2, tpm=600)))
    client = await process.ask(client=ScriptedClient(b"no JSON"))
    assert client.status == 400
    # A request that was not let in has taken nothing.
    assert left(client) == ["2", "2", "0s"]
    assert left(client, "tokens") == ["600", "600", "0s"]
    client = await process.ask(("a", status(503)), ("a", status(503)), ("a", status(503)))
    assert client.status == 502
    assert left(client) == ["2", "1", "29s"] or left(client)[:2] == ["2", "1"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_provider_s_own_limits_are_not_shown_to_who_has_some_here(
    autojump_clock: MockClock, stream: bool
) -> None:
    theirs = (
        (b"x-ratelimit-limit-requests", b"5000"),
        (b"x-ratelimit-remaining-tokens", b"9"),
        (b"x-request-id", b"theirs"),
    )
    steps = ok() if stream else answer()
    assert isinstance(steps[0][1], Head)
    head = Head(200, (*steps[0][1].headers, *theirs))
    client = await Process(caller(ScopeLimits(rpm=2))).ask(
        ("a", [(0, head), *steps[1:]]), stream=stream
    )
    assert client.status == 200
    assert left(client) == ["2", "1", "30s"]
    assert b"x-ratelimit-remaining-tokens" not in client.headers
    assert client.headers[b"x-provider-request-id"] == b"theirs"


async def test_a_limit_of_everybody_s_counts_for_each(autojump_clock: MockClock) -> None:
    everybody = Scope("global", ScopeLimits(rpm=1))
    process = Process(caller(ScopeLimits(rpm=9), None, everybody))
    assert left(await process.ask(("a", ok()))) == ["1", "0", "1m0s"]
    assert (await process.ask()).status == 429
    level = process.state.limits.ledger.status(process.who.scopes[0], trio.current_time())
    assert level.requests is not None
    assert level.requests.remaining == 8


# Tokens a minute...


async def test_tokens_are_reserved_and_then_settled(autojump_clock: MockClock) -> None:
    process = Process(caller(ScopeLimits(tpm=1000)))
    asking = ScriptedClient(body(max_tokens=500))
    client = await process.ask(("a", ok()), client=asking)
    reserved = estimate_tokens(body(max_tokens=500), 500)
    assert left(client, "tokens")[:2] == ["1000", str(1000 - reserved)]
    client = await process.ask(("a", ok()))
    assert left(client, "tokens")[:2] == ["1000", str(1000 - USED - PROMPT)]


async def test_an_answer_without_usage_is_counted_by_its_text(
    autojump_clock: MockClock,
) -> None:
    process = Process(caller(ScopeLimits(tpm=1000)))
    steps: list[Step] = [(0, Head()), *[(0, chunk("hi"))] * 6, (0, STOP + DONE), (0, EOF)]
    await process.ask(("a", steps))
    client = await process.ask(("a", ok()))
    assert left(client, "tokens")[1] == str(1000 - (PROMPT + 6) - PROMPT)


async def test_what_failed_took_no_tokens(autojump_clock: MockClock) -> None:
    process = Process(caller(ScopeLimits(rpm=10, tpm=1000)))
    await process.ask(("a", status(400)))
    client = await process.ask(("a", ok()))
    assert left(client, "tokens")[1] == str(1000 - PROMPT)
    # But it was a request.
    assert left(client)[1] == "8"


async def test_a_request_that_is_too_large_is_told_so(autojump_clock: MockClock) -> None:
    process = Process(caller(ScopeLimits(rpm=5, tpm=100)))
    client = await process.ask(client=ScriptedClient(body(max_tokens=1000)))
    assert (client.status, client.error["type"]) == (429, "tokens")
    assert client.error["message"].startswith("request too large: limit 100 per minute")
    assert client.headers[b"x-should-retry"] == b"false"
    assert b"retry-after" not in client.headers
    assert left(client)[1] == "5"


# At once...


async def test_a_lease_ends_with_the_last_byte(autojump_clock: MockClock) -> None:
    process = Process(caller(ScopeLimits(max_concurrent=1)))
    slow = ScriptedClient(body(), pauses={1: 2.0, 2: 3.0})
    first = process.request(("a", ok()), client=slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.exchange)
        await trio.sleep(4.9)
        second = process.request()
        await second.exchange()
        await trio.sleep(0.2)
        third = process.request(("a", ok()))
        await third.run()
    assert slow.finished_at == 5
    client = second.client
    assert (client.status, client.error["type"]) == (429, "requests")
    assert client.error["message"] == "too many requests at once: limit 1"
    assert client.headers[b"retry-after"] == b"1"
    assert third.client.status == 200


# Money...


async def test_a_spent_budget_is_no_reason_to_retry(autojump_clock: MockClock) -> None:
    process = Process(caller(None, Budget(usd=2 * COST / 1e9, window="total")))
    for _ in range(2):
        assert (await process.ask(("a", ok()))).status == 200
    client = await process.ask()
    assert client.status == 429
    assert client.error == {
        "message": "you have used up your budget of 0.0006 USD in total",
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }
    assert client.headers[b"x-should-retry"] == b"false"
    assert b"retry-after" not in client.headers


def charged(process: Process) -> tuple[int, int]:
    """Return the billionths of a dollar and the tokens that the caller was charged.

    Two tokens come back in a second; `limited_process` is of the time 0.
    """
    (account,) = process.state.limits.ledger
    assert account.spending is not None
    assert account.spending.reserved == 0
    level = process.state.limits.ledger.status(process.who.scopes[0], trio.current_time())
    assert level.tokens is not None
    used = level.tokens.limit - level.tokens.remaining
    return account.spending.spent, used and used + round(2 * trio.current_time())


def limited_process() -> Process:
    return Process(caller(ScopeLimits(tpm=120), Budget(usd=1.0, window="total")))


TALK: list[Step] = [(1, Head()), *[(0, chunk("hi"))] * 6, (9, STOP + TOTALS + DONE), (0, EOF)]


async def test_who_leaves_before_the_usage_pays_for_the_prompt_and_the_text(
    autojump_clock: MockClock,
) -> None:
    """Usage comes last: whoever never stays for it would have no limit at all."""
    process = limited_process()
    world = process.request(("a", TALK), client=ScriptedClient(body(), leaves_at=2))
    record = await world.run()
    assert (record.end_reason, record.events) == ("client_gone", 6)
    cost = PROMPT * 2_000 + 6 * 8_000
    assert charged(process) == (cost, PROMPT + 6)
    assert (record.cost_nano_usd, record.attempts[0].cost_nano_usd) == (cost, cost)


@pytest.mark.parametrize("stream", [True, False])
async def test_who_leaves_before_the_first_event_pays_for_the_prompt(
    autojump_clock: MockClock, stream: bool
) -> None:
    process = limited_process()
    client = ScriptedClient(body(stream=stream), leaves_at=2)
    world = process.request(("a", SILENCE), client=client)
    record = await world.run()
    assert record.end_reason == "client_gone"
    prompt = estimate_tokens(body(stream=stream), 0)
    assert charged(process) == (prompt * 2_000, prompt)


@pytest.mark.parametrize(("steps", "events"), [(SILENCE, 0), (TALK, 6)])
async def test_a_deadline_of_the_caller_s_own_is_no_way_around_that(
    autojump_clock: MockClock, steps: list[Step], events: int
) -> None:
    process = limited_process()
    world = process.request(("a", steps))
    record = await world.run(asked=ClientOptions(timeout=2))
    assert record.end_reason == "total_timeout"
    assert charged(process) == (PROMPT * 2_000 + events * 8_000, PROMPT + events)


async def test_usage_that_is_known_is_not_estimated_as_well(autojump_clock: MockClock) -> None:
    process = limited_process()
    # The answer is there, and its caller does not take it in time.
    client = ScriptedClient(body(stream=False), pauses={0: 30.0})
    world = process.request(("a", answer(after=1)), client=client)
    record = await world.run(asked=ClientOptions(timeout=5))
    assert (record.input_tokens, record.output_tokens) == (100, 20)
    assert charged(process) == (COST, USED)
    assert record.cost_nano_usd == COST


async def test_a_whole_answer_without_usage_costs_about_what_its_length_says(
    autojump_clock: MockClock,
) -> None:
    process = limited_process()
    client = ScriptedClient(body(stream=False))
    record = await process.request(("a", answer("word " * 40, usage=False)), client=client).run()
    assert (record.status, record.input_tokens) == (200, None)
    cost, tokens = charged(process)
    prompt = estimate_tokens(body(stream=False), 0)
    assert tokens - prompt == 50
    assert cost == prompt * 2_000 + (tokens - prompt) * 8_000


WORDS = "word " * 250  # 1,250 bytes: 313 tokens
LARGE = ScopeLimits(tpm=100_000)


def delta(name: str, value: object) -> bytes:
    """Return an event that brings `value` as the member `name` of its delta."""
    found = {"model": "real", "choices": [{"index": 0, "delta": {name: value}}]}
    return b"data: %b\n\n" % msgspec.json.encode(found)


SPOKEN = {
    "content": WORDS,
    "reasoning_content": WORDS,
    "reasoning": WORDS,
    "refusal": WORDS,
    "tool_calls": [{"index": 0, "function": {"arguments": WORDS}}],
}


@pytest.mark.parametrize("name", SPOKEN)
@pytest.mark.parametrize("gone", [True, False])
async def test_a_stream_without_usage_costs_what_its_text_says(
    autojump_clock: MockClock, name: str, gone: bool
) -> None:
    """Two events of 250 words are hundreds of tokens, whether their caller stays or leaves."""
    process = Process(caller(LARGE, Budget(usd=1.0, window="total")))
    steps: list[Step] = [(1, Head()), *[(0, delta(name, SPOKEN[name]))] * 2]
    steps += [(9, STOP + DONE), (0, EOF)]
    client = ScriptedClient(body(), leaves_at=2) if gone else ScriptedClient(body())
    record = await process.request(("a", steps), client=client).run()
    assert record.end_reason == ("client_gone" if gone else "complete")
    assert (record.input_tokens, record.output_tokens) == (None, None)
    tokens = -(-2 * len(WORDS) // 4)
    assert record.cost_nano_usd == PROMPT * 2_000 + tokens * 8_000
    (account,) = process.state.limits.ledger
    assert account.spending is not None
    assert (account.spending.spent, account.spending.reserved) == (record.cost_nano_usd, 0)


async def test_who_leaves_after_a_first_report_pays_for_what_came_since(
    autojump_clock: MockClock,
) -> None:
    """Some report the prompt in the first chunk, and the answer in the last."""
    process = Process(caller(LARGE, Budget(usd=1.0, window="total")))
    first = chunk("hi", usage={"prompt_tokens": 500, "completion_tokens": 1})
    steps: list[Step] = [(1, Head()), (0, first), (0, delta("content", WORDS)), (0, STALL)]
    client = ScriptedClient(body(), leaves_at=2)
    record = await process.request(("a", steps), client=client).run()
    assert (record.input_tokens, record.output_tokens) == (500, 1)
    assert record.cost_nano_usd == 500 * 2_000 + 313 * 8_000
    assert record.attempts[0].cost_nano_usd == record.cost_nano_usd


async def test_a_report_of_nothing_is_no_report(autojump_clock: MockClock) -> None:
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cost": 0.25}
    process = Process(caller(LARGE, Budget(usd=1.0, window="total")))
    steps: list[Step] = [(1, Head()), (0, delta("content", WORDS))]
    steps += [(0, STOP + chunk(usage=nothing) + DONE), (0, EOF)]
    record = await process.request(("a", steps)).run()
    assert (record.input_tokens, record.output_tokens) == (None, None)
    assert record.cost_nano_usd == PROMPT * 2_000 + 313 * 8_000
    # But what it says of money is noted.
    assert record.reported_cost_nano_usd == 250_000_000


@pytest.mark.parametrize("leaves", [math.inf, 2.0])
async def test_an_answer_at_no_known_price_has_no_cost(
    autojump_clock: MockClock, leaves: float
) -> None:
    client = ScriptedClient(body(), leaves_at=leaves)
    process = Process(caller(LARGE, Budget(usd=1.0, window="total")))
    half = msgspec.structs.replace(deployment("b"), prices=Prices(input=2.0))
    record = await process.request(("b", TALK), routes=[half], client=client).run()
    assert record.first_event_ms == 1000
    assert record.cost_nano_usd is None
    (account,) = process.state.limits.ledger
    assert account.spending is not None
    assert (account.spending.spent, account.spending.reserved) == (0, 0)


# 1,000 tokens of answer at 8 USD a million, and a prompt.
AT_MOST = 8_000_000 + estimate_tokens(body(max_tokens=1000), 0) * 2_000


@pytest.mark.parametrize("says", [{"max_tokens": 1000}, {"max_tokens": 500, "n": 2}, {}])
@pytest.mark.parametrize("end", ["complete", "gone", "failed"])
async def test_only_what_a_budget_can_pay_is_let_in_at_once(
    autojump_clock: MockClock, says: dict[str, int], end: str
) -> None:
    process = Process(caller(None, Budget(usd=2 * AT_MOST / 1e9, window="total")))
    plays = {
        "complete": ("a", ok(after=5)),
        "gone": ("a", SILENCE),
        "failed": ("a", status(400, after=5)),
    }
    worlds = []
    async with trio.open_nursery() as nursery:
        for number in range(20):
            leaves = 5.0 if end == "gone" else math.inf
            client = ScriptedClient(body(stream=True, **says), leaves_at=leaves)
            # Of those that come too late none reaches a provider.
            world = process.request(*[plays[end]] * (number < 3), client=client)
            worlds.append(world)
            nursery.start_soon(world.exchange)
    refused = [world for world in worlds if world.client.status == 429]
    # The third finds a little left: a prompt is a few tokens longer or shorter than that.
    assert 17 <= len(refused) <= 18
    assert len(worlds) - len(refused) in (2, 3)
    for world in refused:
        assert world.client.error["code"] == "insufficient_quota"
        assert world.client.error["message"].endswith("is reserved for your requests under way")
        assert world.client.headers[b"retry-after"] == b"1"
        assert world.client.headers[b"x-should-retry"] == b"true"
    # All that was reserved and not spent is there again.
    (account,) = process.state.limits.ledger
    assert account.spending is not None
    assert account.spending.reserved == 0
    assert account.spending.spent < account.spending.limit // 10
    assert (await process.ask(("a", ok()))).status == 200


async def test_what_a_provider_refused_or_failed_costs_nothing(autojump_clock: MockClock) -> None:
    process = limited_process()
    await process.ask(("a", status(400)))
    await process.ask(*[("a", status(503))] * 3)
    assert charged(process) == (0, 0)


async def test_who_has_no_limits_is_shown_no_estimates(autojump_clock: MockClock) -> None:
    world = World([("a", TALK)], client=ScriptedClient(body(), leaves_at=2))
    record = await world.run()
    assert (record.end_reason, record.cost_nano_usd) == ("client_gone", None)


async def test_what_a_hedge_cost_is_paid_by_its_caller(autojump_clock: MockClock) -> None:
    process = Process(caller(None, Budget(usd=(COST + 1) / 1e9, window="total")))
    hedge = {"hedge": HedgePolicy(after=1.0), "hedge_cap": HedgeCap()}
    plays = [("a", ok(after=2)), ("b", SILENCE)]
    assert (await process.ask(*plays, routes=["a", "b"], **hedge)).status == 200
    # The answer alone would have left a little.
    assert (await process.ask()).status == 429


async def test_a_key_that_has_expired_is_refused(autojump_clock: MockClock) -> None:
    for expires, expected in ((time.time() - 1, 401), (time.time() + 600, 200)):
        process = Process(caller(ScopeLimits(rpm=5), expires=expires))
        client = await process.ask(*([("a", ok())] if expected == 200 else []))
        assert client.status == expected
        if expected == 401:
            assert client.error["code"] == "expired_api_key"
            assert client.headers[b"www-authenticate"] == b"Bearer"
            # Who is not let in is not told what is left either.
            assert b"x-ratelimit-limit-requests" not in client.headers


# The gateway's own places...


async def test_who_finds_the_gateway_full_waits_for_its_turn(autojump_clock: MockClock) -> None:
    # A request of these comes back in fifteen seconds.
    process = Process(caller(ScopeLimits(rpm=4)))
    process.traffic.everyone.limit = 1
    upstream = Answering({"a": ok(after=1)})
    worlds = [process.request() for _ in range(4)]
    async with trio.open_nursery() as nursery:
        for world in worlds:
            world.upstream = upstream
            nursery.start_soon(world.exchange)
            await trio.sleep(0.1)
    # Of two who have waited for more than a second the later one is served: it is the one
    # that still has time.
    assert [at for at, _ in upstream.called] == [0, 1, 2]
    assert [world.client.status for world in worlds] == [200, 200, 503, 200]
    client = worlds[2].client
    assert client.finished_at == pytest.approx(2.2)
    assert client.error["code"] == "queue_timeout"
    assert client.headers[b"retry-after"] == b"3"
    assert worlds[2].record.end_reason == "rejected"
    assert process.traffic.everyone.held == 0
    # And it has been charged nothing.
    level = process.state.limits.ledger.status(process.who.scopes[0], trio.current_time())
    assert level.requests is not None
    assert level.requests.remaining == 1
    assert process.state.limits.ledger.held() == 0


def cancel(world: World) -> None:
    world.in_flight.cancel("req_1")


ENDS: dict[str, tuple[Callable[[World], None], int, str]] = {
    "leaves": (lambda world: world.client.leave(), 499, "client_gone"),
    "drain": (lambda world: world.lifecycle.start_drain(), 503, "server_shutting_down"),
    "end": (lambda world: world.lifecycle.end_requests(), 503, "server_shutting_down"),
    "operator": (cancel, 503, "cancelled_by_operator"),
}


@pytest.mark.parametrize(("end", "expected", "reason"), ENDS.values(), ids=ENDS)
async def test_who_ends_in_the_queue_is_charged_nothing(
    autojump_clock: MockClock, end: Callable[[World], None], expected: int, reason: str
) -> None:
    who = caller(ScopeLimits(rpm=1, tpm=1000, max_concurrent=1), Budget(usd=1.0, window="total"))
    world = World([], routes=["a"], callers=[who])
    everyone = world.traffic.everyone
    everyone.limit = 1
    assert everyone.acquire_nowait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.exchange)
        await trio.sleep(1)
        assert everyone.waiting == 1
        assert world.state.limits.ledger.held() == 1
        end(world)
    everyone.release()
    world.check()
    assert trio.current_time() == 1
    assert (world.record.status, world.record.end_reason) == (expected, reason)
    level = world.state.limits.ledger.status(who.scopes[0], 1.0)
    assert level.requests is not None
    assert level.requests.remaining == 1
    assert level.tokens is not None
    assert level.tokens.remaining == 1000


async def test_a_caller_s_deadline_holds_in_the_queue(autojump_clock: MockClock) -> None:
    world = World([], routes=["a"])
    everyone = world.traffic.everyone
    everyone.limit = 1
    assert everyone.acquire_nowait()
    await world.exchange(asked=ClientOptions(timeout=0.5))
    assert trio.current_time() == 0.5
    assert world.client.status == 503
    everyone.release()
    world.check()


# Nothing is left...

MANY = rounds(500, 5_000)


class Prompt(ScriptedClient):
    """A caller whose body is there already."""

    async def read_body(self, limit: int, seconds: float) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._body


STREAM: list[Step] = [
    (0.5, Head()),
    (0.5, chunk("one")),
    (1, chunk("two")),
    (1, STOP + TOTALS + DONE),
    (0, EOF),
]


@pytest.mark.soak
async def test_of_many_who_leave_at_any_moment_nothing_is_left(
    autojump_clock: MockClock,
) -> None:
    dice = random.Random(3)
    who = caller(
        ScopeLimits(rpm=10**9, tpm=10**12, max_concurrent=450), Budget(usd=1e9, window="total")
    )
    world = World(
        [],
        routes=["a", "b"],
        callers=[who],
        provider_scopes={"a": Scope("provider:a", ScopeLimits(rpm=10**8, max_concurrent=450))},
        hedge=HedgePolicy(after=0.75),
        hedge_cap=HedgeCap(),
    )
    world.traffic.everyone.limit = 350
    world.traffic.provider("a").limit = 200
    world.traffic.provider("b").limit = 200
    upstream = Answering({"a": STREAM, "b": STREAM})
    records = Records()
    services = Services(
        upstream=upstream,
        limits=world.state.limits,
        health=world.state.health,
        traffic=world.traffic,
        cache=world.cache,
        recorder=records,
        lifecycle=world.lifecycle,
        rng=dice.random,
    )
    request = body()

    async def one() -> None:
        now = trio.current_time()
        # In steps of a sixteenth: many at the same tick, and beside what providers do then.
        client = Prompt(request, leaves_at=now + dice.randrange(56) / 16)
        exchange = Exchange(services, world.snapshot, client, b"req_1", OPENAI_CHAT)
        client.carry(exchange.about)
        await exchange.run(lambda exchange: serve_chat(exchange, KEY))

    async def visitor(count: int) -> None:
        for _ in range(count):
            await one()

    async with trio.open_nursery() as nursery:
        for _ in range(500):
            nursery.start_soon(visitor, MANY // 500)
    assert len(records.all) == MANY
    reasons = {record.end_reason.value for record in records.all}
    assert {"client_gone", "complete", "rejected"} <= reasons
    assert reasons <= {"client_gone", "complete", "rejected", "providers_failed"}
    assert world.state.limits.ledger.held() == 0
    assert [(slots.held, slots.waiting) for slots in world.traffic] == [(0, 0)] * 3
    assert [target.in_flight for target in world.state.health.targets] == [0, 0]
    assert [target.retries.retries_in_flight for target in world.state.health.targets] == [0, 0]
    assert all(response.closed_at is not None for response in upstream.responses)
    assert world.lifecycle.in_flight == 0
    level = world.state.limits.ledger.status(who.scopes[0], trio.current_time())
    assert level.tokens is not None


@pytest.mark.soak
async def test_of_thousands_cancelled_in_line_or_at_work_nothing_is_left(
    autojump_clock: MockClock,
) -> None:
    """Admission alone, which is quick: the whole of a request takes a millisecond."""
    dice = random.Random(5)
    limits = ScopeLimits(rpm=10**9, tpm=10**12, max_concurrent=400)
    who = caller(limits, Budget(usd=1e9, window="total"))
    world = World([], routes=["a"], callers=[who])
    everyone = world.traffic.everyone
    everyone.limit = 200
    services, snapshot, client = world.services, world.snapshot, world.client
    demand = Demand(tokens=100, cost=1000)
    ends = {"worked": 0, "cancelled": 0, "refused": 0}
    turns = rounds(4, 50)

    async def work(exchange: Exchange) -> None:
        exchange.caller = who
        try:
            async with await admit(exchange, demand, exchange.started + 10):
                await trio.sleep(1)
            ends["worked"] += 1
        except GatewayError:
            ends["refused"] += 1

    async def visitor() -> None:
        for _ in range(turns):
            with trio.move_on_after(dice.randrange(32) / 16) as scope:
                await Exchange(services, snapshot, client, b"req_1", OPENAI_CHAT).run(work)
            ends["cancelled"] += scope.cancelled_caught

    async with trio.open_nursery() as nursery:
        for _ in range(500):
            nursery.start_soon(visitor)
    assert sum(ends.values()) == 500 * turns
    assert min(ends.values()) > 20 * turns, ends
    assert len(world.records.all) == 500 * turns
    assert world.state.limits.ledger.held() == 0
    assert (everyone.held, everyone.waiting) == (0, 0)
    (account,) = world.state.limits.ledger
    assert account.spending is not None
    assert (account.spending.reserved, account.spending.spent) == (0, 0)
    level = world.state.limits.ledger.status(who.scopes[0], trio.current_time())
    assert level.tokens is not None
    # Whatever was cancelled has used none of its tokens.
    assert level.tokens.remaining == 10**12


# Shared calls...

SHARED: list[Step] = [
    (1, Head()),
    (0, chunk("one")),
    (2, chunk("two")),
    (1, STOP + TOTALS + DONE),
    (0, EOF),
]


def equal_requests(who: Caller, clients: list[ScriptedClient]) -> list[World]:
    """Return requests to one process that share a call."""
    process = Process(who)
    worlds = [
        process.request(cache=ModelCache(ttl=60, coalesce=True), client=client)
        for client in clients
    ]
    upstream = Answering({"a": SHARED})
    for world in worlds:
        world.upstream, world.cache = upstream, worlds[0].cache
    return worlds


async def share(worlds: list[World], look_at: float) -> list[int]:
    """Serve them, half a second from one another; return the leases at `look_at` and in the end."""
    ledger, flights = worlds[0].state.limits.ledger, worlds[0].cache.flights
    held = []
    async with trio.open_nursery() as background:
        await background.start(flights.run)
        async with trio.open_nursery() as nursery:
            for world in worlds:
                nursery.start_soon(world.exchange)
                await trio.sleep(0.5)
            await trio.sleep_until(look_at)
            held.append(ledger.held())
        await trio.sleep(1)
        held.append(ledger.held())
        background.cancel_scope.cancel()
    return held


async def test_a_leader_who_leaves_still_pays_what_its_call_has_used(
    autojump_clock: MockClock,
) -> None:
    who = caller(ScopeLimits(tpm=1000), Budget(usd=1.0, window="total"))
    first, second = ScriptedClient(body(), leaves_at=1.5), ScriptedClient(body())
    worlds = equal_requests(who, [first, second])
    # The first one's lease is over, but not what its call, which goes on, has reserved.
    assert await share(worlds, 2.0) == [1, 0]
    assert len(worlds[0].upstream.calls) == 1
    assert (first.finished_at, second.finished_at) == (None, 4)
    (account,) = worlds[0].state.limits.ledger
    assert account.spending is not None
    assert (account.spending.reserved, account.spending.spent) == (0, COST)
    assert account.tokens is not None
    # Counted as of 4 s: the reserve of a hundredth of the bucket was back by then.
    charged = 60.0 * USED / 1000
    assert account.tokens.full_at == pytest.approx(4 + charged, abs=60.0 * 2 * PROMPT / 1000)
    record = worlds[0].record
    assert (record.end_reason, record.cost_nano_usd, record.input_tokens) == (
        "client_gone",
        COST,
        100,
    )
    assert worlds[1].record.cost_nano_usd == 0


async def test_a_call_that_all_have_left_is_paid_as_far_as_it_went(
    autojump_clock: MockClock,
) -> None:
    who = caller(ScopeLimits(tpm=1000), Budget(usd=1.0, window="total"))
    clients = [ScriptedClient(body(), leaves_at=1.5), ScriptedClient(body(), leaves_at=2.0)]
    worlds = equal_requests(who, clients)
    assert await share(worlds, 1.75) == [1, 0]
    assert worlds[0].upstream.responses[0].closed_at == 2
    (account,) = worlds[0].state.limits.ledger
    assert account.tokens is not None
    # Its prompt, and the one event that was shown.
    assert account.tokens.full_at == pytest.approx(
        2 + 60.0 * (PROMPT + 1) / 1000, abs=60.0 * 2 * PROMPT / 1000
    )
    assert worlds[0].record.end_reason == "client_gone"
