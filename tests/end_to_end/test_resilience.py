"""Providers in trouble: as long as one route is well, every request is served, and in time."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio

from gateway.core.records.record import EndReason
from gateway.core.routing.backoff import Rng
from gateway.core.routing.balancing.strategies import PoolMember, balancer
from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.routing.causes import Cause
from gateway.core.routing.health import Sample
from gateway.core.routing.keys import Key
from gateway.core.routing.retry_budget import RetryBudgetPolicy
from gateway.core.routing.target import Target

from ..ports import lasting_port
from .caller import Reply, ask, calling
from .harness import PATIENCE, InProcess, config, in_process
from .provider import Asked, serving, speaking, until
from .wire import RESET, STALL, Script, event, failure, framed, stream_head, streamed

pytestmark = [pytest.mark.slow, pytest.mark.measured]

# The breaker's times, made short; as they come by default they are simulated below.
BREAKER = """
[breaker]
open_time = 0.2
max_open_time = 0.6
slow_start = 0.4
"""
# The longest that it can be open, and cold behind that.
BACK = 0.6 * 1.2 + 0.4

both_kinds = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@dataclass
class Seen:
    """One request of a crowd: when it began, how long it took, what came of it."""

    began: float
    seconds: float
    reply: Reply

    @property
    def served(self) -> bool:
        if not self.reply.complete or self.reply.status != 200:
            return False
        streamed = "event-stream" in self.reply.headers["content-type"]
        return not streamed or self.reply.body.endswith(b"data: [DONE]\n\n")

    @property
    def by(self) -> str:
        return self.reply.headers["x-gateway-provider"]


class Crowd:
    """Callers that ask one request after another, each on its own connection."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.leaving = False

    async def call(self, gateway: InProcess, *, stream: bool | None, pause: float) -> None:
        streams = itertools.cycle([False, True] if stream is None else [stream])
        async with calling(gateway.port) as caller:
            while not self.leaving:
                began = trio.current_time()
                await caller.ask(stream=next(streams))
                reply = await caller.reply()
                assert reply.complete, (reply, gateway.records[-1:])
                self.seen.append(Seen(began, trio.current_time() - began, reply))
                await trio.sleep(pause)

    def since(self, moment: float) -> list[Seen]:
        return [each for each in self.seen if each.began >= moment]

    def check(self, within: float) -> None:
        """Fail unless all that were asked were served, each `within` so many seconds."""
        assert self.seen
        for each in self.seen:
            assert each.served, (each.reply.status, each.reply.headers, each.reply.body)
        assert max(each.seconds for each in self.seen) < within


@asynccontextmanager
async def crowd(
    gateway: InProcess, *, callers: int = 6, stream: bool | None = None, pause: float = 0.03
) -> AsyncIterator[Crowd]:
    """Let `callers` ask while this lasts; their last answers are awaited at the end.

    `stream` None is for streams and whole answers in turn.
    """
    people = Crowd()
    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(lambda: people.call(gateway, stream=stream, pause=pause))
        try:
            yield people
        finally:
            people.leaving = True


def attempts(gateway: InProcess, provider: str) -> int:
    """Return how many attempts the records of all requests so far tell of."""
    return sum(each.provider == provider for one in gateway.records for each in one.attempts)


# One route in trouble...


def brown_out(rng: random.Random, share: float) -> Callable[[Asked], Script]:
    """Fail that share of requests, in one of the ways in which providers do."""

    def answer(asked: Asked) -> Script:
        if rng.random() >= share:
            return speaking(asked)
        faults: list[Script] = [[(0.0, failure(500))], [(0.0, failure(503))], [(0.0, RESET)]]
        if asked.json.get("stream"):
            begun = framed(event({"role": "assistant", "content": ""}))
            faults += [
                streamed([b'data: {"error":{"message":"overloaded","code":503}}\n\n']),
                streamed([]),
                [(0.0, stream_head()), (0.0, begun), (0.0, RESET)],
                [(0.0, stream_head()), (0.0, begun), (0.0, STALL)],
            ]
        return rng.choice(faults)

    return answer


@both_kinds
async def test_brown_out_costs_nobody_an_answer(stream: bool) -> None:
    async with serving(brown_out(random.Random(0), 0.4)) as sick, serving(speaking) as well:
        text = config(sick.port, well.port, tokens=BREAKER)
        # Only the sick one is so impatiently waited for: on a busy machine the other is slow, too.
        key = 'api_key = "sk-provider"'
        text = text.replace(key, f"{key}\ntimeouts = {{ first_event = 0.3 }}", 1)
        by: Counter[str] = Counter()

        def both_served() -> bool:
            # It was asked, again and again, and has served some.
            by.update(each.by for each in people.seen[by.total() :] if each.served)
            return by["p0"] >= 5 and by["p1"] >= 5

        async with in_process(text) as gateway:
            async with crowd(gateway, stream=stream) as people:
                await trio.sleep(1.5)
                await until(both_served, "five answers of each", PATIENCE)
            await gateway.settled()
    people.check(within=3.0)
    assert all(record.end_reason is EndReason.COMPLETE for record in gateway.records)


def at_once(asked: Asked) -> Script:
    """Answer in one piece: who is cut off has seen nothing, and not half of a stream."""
    deeds = [deed for _, deed in speaking(asked)]
    return [(0.0, b"".join(deed for deed in deeds if isinstance(deed, bytes)))]


async def test_flapping_primary_costs_nobody_an_answer() -> None:
    async with serving(at_once) as well:
        port = lasting_port()
        text = config(port, well.port, tokens=BREAKER)
        async with in_process(text) as gateway, crowd(gateway) as people:
            came_back, left = [], []
            for _ in range(2):
                await trio.sleep(1.0)
                # Really away between the times: nobody listens, and connections are cut.
                async with serving(at_once, port=port) as first:
                    came_back.append(trio.current_time())
                    await trio.sleep(1.0)
                    # How many there are in that time, the machine decides.
                    await until(lambda: len(first.asked) > 10, "some requests", PATIENCE)
                    left.append(trio.current_time())
    people.check(within=3.0)
    for moment, gone in zip(came_back, left, strict=True):
        up = [each for each in people.since(moment) if each.began < gone]
        assert any(each.by == "p0" for each in up)


async def test_rate_limited_route_is_left_alone_until_its_reset() -> None:
    limited_until = trio.current_time() + 1.0
    told: list[float] = []

    def limited(asked: Asked) -> Script:
        if trio.current_time() < limited_until:
            told.append(trio.current_time())
            return [(0.0, failure(429, "slow down", "retry-after: 1"))]
        return speaking(asked)

    async with serving(limited) as first, serving(speaking) as second:
        text = config(first.port, second.port, tokens=BREAKER)
        async with in_process(text) as gateway:
            async with crowd(gateway) as people:
                await trio.sleep(0.9)
                # Each caller may have had one under way when the first 429 came.
                assert len(first.asked) <= 6
                # How many there are in that time, the machine decides.
                assert len(second.asked) >= 2 * len(first.asked) + 5
                # The second that it was told last, and a moment in which that is noticed.
                back = told[-1] + 1.0 + 0.25
                await trio.sleep_until(back)
                await until(lambda: bool(people.since(back)), "an answer", PATIENCE)
            await gateway.settled()
    people.check(within=2.0)
    # No failure of its breaker: all of it is back at once.
    assert {each.by for each in people.since(back)} == {"p0"}


async def test_rate_limited_key_is_left_alone_until_its_reset() -> None:
    # How many requests there are in that time, the machine decides.
    for seconds in (0.9, 3.0, 12.0):
        early, late = await rate_limited_for(seconds)
        if early["Bearer sk-other"] >= 35:
            break
    assert early["Bearer sk-one"] <= 6, early
    assert early["Bearer sk-other"] >= 5 * early["Bearer sk-one"] + 5, early
    # Each has its turn again, but for those that overtook each other on their way.
    assert min(late["Bearer sk-one"], late["Bearer sk-other"]) >= 7, late


async def rate_limited_for(seconds: float) -> tuple[Counter[str], Counter[str]]:
    """Limit one of two keys so long; return who was asked until shortly before, and at the end."""
    limited_until = trio.current_time() + seconds - 0.05

    def answer(asked: Asked) -> Script:
        late = trio.current_time() >= limited_until
        if late or asked.headers["authorization"] == "Bearer sk-other":
            return speaking(asked)
        # Retry-After is missing: OpenAI's own headers tell.
        reset = f"x-ratelimit-reset-requests: {seconds * 1000:.0f}ms"
        limit = ("x-ratelimit-remaining-requests: 0", reset)
        return [(0.0, failure(429, "slow down", *limit))]

    async with serving(answer) as provider:
        text = config(provider.port, tokens=BREAKER)
        text = text.replace('api_key = "sk-provider"', 'api_keys = ["sk-one", "sk-other"]')
        async with in_process(text) as gateway:
            async with crowd(gateway) as people:
                await trio.sleep(seconds - 0.1)
                early = Counter(asked.headers["authorization"] for asked in provider.asked)
                await trio.sleep(seconds)
            await gateway.settled()
    people.check(within=2.0)
    return early, Counter(asked.headers["authorization"] for asked in provider.asked[-20:])


async def test_silent_primary_is_given_up_on_after_a_few() -> None:
    silent: Script = [(0.0, stream_head()), (0.0, STALL)]
    async with serving(silent) as first, serving(speaking) as second:
        text = config(first.port, second.port, timeouts="first_event = 0.3", tokens=BREAKER)
        async with in_process(text) as gateway:
            async with crowd(gateway, stream=True) as people:
                began = trio.current_time()
                await trio.sleep(2.0)
                await until(lambda: len(second.asked) >= 100, "a hundred requests", PATIENCE)
                times = (trio.current_time() - began) / 2.0
            await gateway.settled()
    people.check(within=1.5)
    # One from each caller before it opens, then a probe at a time, each with its 0.3 s.
    assert len(first.asked) <= 6 + 5 * times
    quick = [each for each in people.seen if each.reply.headers["x-gateway-attempts"] == "1"]
    assert len(quick) >= 0.9 * len(people.seen)


# All of them...


async def test_all_are_down_and_come_back() -> None:
    ports = lasting_port(), lasting_port()
    async with in_process(config(*ports, tokens=BREAKER)) as gateway:
        async with crowd(gateway) as people:
            await until(lambda: attempts(gateway, "p0") >= 5, "an open breaker")
            await trio.sleep(0.3)
            away, before = trio.current_time(), len(gateway.records)
            await trio.sleep(1.5)
            await until(lambda: len(people.since(away)) >= 100, "a hundred answers", PATIENCE)
            times = (trio.current_time() - away) / 1.5
            lost = people.since(away)
            asked = [one.attempts for one in gateway.records[before:] if one.attempts]
            async with serving(speaking, port=ports[0]), serving(speaking, port=ports[1]):
                back = trio.current_time()
                await trio.sleep(BACK + 1.0)
                people.leaving = True
                await until(lambda: gateway.lifecycle.in_flight == 0, "the last answers")
        # While all were down: a probe now and then, and for everybody else an honest answer.
        assert {each.reply.status for each in lost} <= {502, 503}
        assert max(each.seconds for each in lost) < 1.5  # a busy machine takes a while
        refusals = [each for each in lost if each.reply.status == 503]
        assert len(refusals) >= 0.9 * len(lost)
        for each in refusals:
            assert each.reply.error["code"] == "no_healthy_upstream"
            assert each.reply.headers["x-should-retry"] == "true"
            assert each.reply.headers["retry-after"] == "1"
            assert 0 <= int(each.reply.headers["retry-after-ms"]) <= 1000
        # Open for at least 0.16 s, then 0.32 s and from then on 0.48 s, each of the two.
        assert len(asked) <= 2 * 6 * times
        # And back: first to one who probes, then to all, and by the end as if nothing had been.
        later = people.since(back + 0.6 * 1.2 + 0.3)
        assert later
        assert all(each.served for each in later)
        last = people.since(back + BACK + 0.5)
        assert last
        assert {each.by for each in last} == {"p0"}
        assert all(each.seconds < 1.5 for each in last)


@both_kinds
async def test_half_open_lets_few_of_two_hundred_through(stream: bool) -> None:
    callers = 200
    states: list[Script | Callable[[Asked], Script]] = [[(0.0, failure(500))]] * 5

    def slowly(asked: Asked) -> Script:
        (_, head), *rest = speaking(asked)
        return [(5.0, head), *rest]

    async with serving(*states, slowly) as provider:
        # Two hundred at once make a slow machine late enough to shed some before they ask.
        text = config(
            provider.port,
            retry="max_attempts = 1",
            tokens="[breaker]\nopen_time = 0.6\n",
        )
        async with in_process(text) as gateway:
            statuses = [(await ask(gateway.port, stream=stream)).status for _ in range(6)]
            assert statuses == [502] * 5 + [503]
            assert len(provider.asked) == 5
            replies: list[Reply] = []
            ready = 0
            go = trio.Event()

            async def call() -> None:
                nonlocal ready
                async with calling(gateway.port) as caller:
                    ready += 1
                    await go.wait()
                    await caller.ask(stream=stream)
                    replies.append(await caller.reply())

            async with trio.open_nursery() as nursery:
                for _ in range(callers):
                    nursery.start_soon(call)
                await until(lambda: ready == callers, "all connected")
                await trio.sleep(0.75)
                go.set()
            await gateway.settled()
    # One as a probe. There is no other route, so that a second one may pass a second later, and a
    # third after one and a half more, if a slow machine takes as long to ask.
    passed = len(provider.asked) - 5
    assert 1 <= passed <= 3
    assert Counter(reply.status for reply in replies) == {200: passed, 503: callers - passed}
    refused = [reply for reply in replies if reply.status == 503]
    assert all(reply.error["code"] == "no_healthy_upstream" for reply in refused)
    assert all("retry-after" in reply.headers for reply in refused)


async def test_caller_may_forbid_further_attempts() -> None:
    async with (
        serving([(0.0, failure(500))]) as first,
        serving(speaking) as second,
        in_process(config(first.port, second.port)) as gateway,
    ):
        reply = await ask(gateway.port, headers=[("x-gateway-no-retry", "true")])
        record = await gateway.record()
    assert reply.status == 502
    assert (len(first.asked), len(second.asked)) == (1, 0)
    assert [each.cause for each in record.attempts] == ["server_error"]


# With the defaults, by computation...


def targets(*names: str) -> list[Target]:
    return [
        Target(name, [Key(name, "key 1")], BreakerPolicy(), RetryBudgetPolicy()) for name in names
    ]


def time_to_full_share(rng: Rng, outage: float, pace: float, latency: float) -> float:
    """Return how long after its recovery a primary, by default, gets all requests again.

    Requests come each `pace` seconds; a failure shows after `latency`, a first event too.
    """
    primary, spare = targets("primary", "spare")
    pool = balancer("priority", [PoolMember(load=primary), PoolMember(load=spare)])
    now, last_elsewhere = 0.0, 0.0
    under_way: list[tuple[float, Target, object, bool]] = []
    while now < outage + 60.0:
        now += pace
        for entry in [each for each in under_way if each[0] <= now]:
            under_way.remove(entry)
            ends, target, permit, fails = entry
            cause = Cause.SERVER_ERROR if fails else None
            sample = Sample(cause, latency, None if fails else latency)
            target.leave(permit, sample, ends, rng)  # type: ignore[arg-type]
        for index in pool.order(now, rng):
            target = (primary, spare)[index]
            permit = target.enter(now)
            if permit is not None:
                fails = target is primary and now < outage
                under_way.append((now + latency, target, permit, fails))
                if target is spare:
                    last_elsewhere = now
                break
    assert last_elsewhere < outage + 59.0, "it never came back"
    return max(0.0, last_elsewhere - outage)


def test_default_primary_is_back_within_thirty_seconds() -> None:
    rng = random.Random(23)
    for _ in range(40):
        outage = rng.uniform(1.0, 300.0)
        back = time_to_full_share(rng.random, outage, pace=0.1, latency=0.3)
        assert back <= 30.0, outage
