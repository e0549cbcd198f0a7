"""Which provider gets a request: strategies, names, keys, health checks and hedges, over TCP."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio

from gateway.core.routing.causes import Cause

from .caller import Headers, Reply, ask, calling, get
from .harness import PATIENCE, InProcess, config, in_process
from .provider import Asked, Provider, serving, speaking, until
from .wire import STALL, Script, event, failure, framed, stream_head, whole

both_kinds = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def after(seconds: float) -> Callable[[Asked], Script]:
    """Answer like `speaking`, but only after so many seconds."""

    def answer(asked: Asked) -> Script:
        (_, head), *rest = speaking(asked)
        return [(seconds, head), *rest]

    return answer


@asynccontextmanager
async def providers(
    *answers: Callable[[Asked], Script],
) -> AsyncIterator[list[Provider]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(serving(each)) for each in answers]


def model(strategy: str, *routes: str, more: str = "") -> str:
    """Return a model `s` with one route a provider, each with what `routes` adds to it."""
    begin = 'provider = "p{}", model = "real-model"'
    tables = [
        begin.format(number) + f", {route}" * bool(route) for number, route in enumerate(routes)
    ]
    joined = ", ".join(f"{{ {table} }}" for table in tables)
    return f'[[models]]\nname = "s"\nstrategy = "{strategy}"\nroutes = [{joined}]\n{more}\n'


async def ask_many(
    gateway: InProcess, count: int, *, headers: Headers = (), **body: Any
) -> list[str]:
    """Ask one after another; return which providers answered."""
    served = []
    async with calling(gateway.port) as caller:
        for _ in range(count):
            await caller.ask(model="s", headers=headers, **body)
            reply = await caller.reply()
            assert reply.status == 200, reply.body
            served.append(reply.headers["x-gateway-provider"])
    return served


async def ask_at_once(gateway: InProcess, count: int, **body: Any) -> list[Reply]:
    replies = []

    async def call() -> None:
        replies.append(await ask(gateway.port, **body))

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(call)
    return replies


# Strategies...


@pytest.mark.slow
async def test_weighted_shares_are_exact() -> None:
    async with providers(*[speaking] * 3) as (first, second, third):
        routes = ("weight = 5", "weight = 2", "weight = 1")
        text = config(first.port, second.port, third.port, models=model("weighted", *routes))
        async with in_process(text) as gateway:
            served = Counter(await ask_many(gateway, 400))
    assert served == {"p0": 250, "p1": 100, "p2": 50}
    assert [len(each.asked) for each in (first, second, third)] == [250, 100, 50]


@pytest.mark.slow
async def test_weighted_shares_hold_for_a_crowd() -> None:
    async with providers(*[after(0.005)] * 2) as (first, second):
        routes = ("weight = 3", "weight = 1")
        text = config(first.port, second.port, models=model("weighted", *routes))
        async with in_process(text) as gateway:
            replies = await ask_at_once(gateway, 80, model="s", stream=True)
    assert {reply.status for reply in replies} == {200}
    assert (len(first.asked), len(second.asked)) == (60, 20)


async def test_round_robin_takes_turns_whatever_the_weights() -> None:
    async with providers(*[speaking] * 3) as (first, second, third):
        routes = ("weight = 9", "", "weight = 2")
        text = config(first.port, second.port, third.port, models=model("round_robin", *routes))
        async with in_process(text) as gateway:
            served = await ask_many(gateway, 30)
    assert Counter(served) == {"p0": 10, "p1": 10, "p2": 10}
    assert all(len({*served[at : at + 3]}) == 3 for at in range(28))


async def test_least_busy_spreads_what_is_under_way() -> None:
    async with providers(*[after(0.6)] * 3) as upstreams:
        ports = [each.port for each in upstreams]
        text = config(*ports, models=model("least_busy", "", "", ""))
        async with in_process(text) as gateway, trio.open_nursery() as nursery:
            # `m` keeps the first one busy, so that what `s` has goes to the others.
            nursery.start_soon(ask_at_once, gateway, 2)
            await upstreams[0].wait_asked(2)
            replies = await ask_at_once(gateway, 7, model="s", stream=True)
    assert {reply.status for reply in replies} == {200}
    assert [len(each.asked) for each in upstreams] == [3, 3, 3]


async def test_cheapest_goes_first_and_the_next_when_it_fails() -> None:
    async with providers(speaking, speaking, speaking) as (dear, cheap, dearest):
        prices = ("output_price = 2", "input_price = 1", "input_price = 3")
        ports = dear.port, cheap.port, dearest.port
        async with in_process(config(*ports, models=model("cheapest", *prices))) as gateway:
            assert await ask_many(gateway, 5) == ["p1"] * 5
            cheap.answer = lambda _: [(0.0, failure(500))]
            assert await ask_many(gateway, 5) == ["p0"] * 5
    assert not dearest.asked


STICKY = ["by-header", "by-user"]


@pytest.mark.parametrize("by", STICKY)
async def test_sticky_sends_the_same_to_the_same(by: str) -> None:
    async with providers(*[speaking] * 4) as upstreams:
        ports = [each.port for each in upstreams]
        more = 'sticky_by = ["header:x-conversation", "user"]'
        text = config(*ports, models=model("sticky", "", "", "", "", more=more))
        async with in_process(text) as gateway:

            async def served(who: int, count: int) -> set[str]:
                if by == "by-user":
                    return {*await ask_many(gateway, count, user=f"user-{who}")}
                headers = [("x-conversation", f"chat-{who}")]
                # What comes first in `sticky_by` decides.
                return {*await ask_many(gateway, count, headers=headers, user="same")}

            found = [await served(who, 4) for who in range(24)]
            again = [await served(who, 1) for who in range(24)]
            # One is away: its own keys move and no others.
            gone = next(iter(found[0]))
            upstreams[int(gone[1:])].answer = lambda _: [(0.0, failure(500))]
            moved = [await served(who, 1) for who in range(24)]
    assert all(len(each) == 1 for each in found)
    assert again == found
    assert len(set.union(*found)) == 4
    for before, now in zip(found, moved, strict=True):
        assert (now == before) == (before != {gone})


@pytest.mark.slow
async def test_lowest_latency_prefers_whoever_is_fast() -> None:
    async with providers(after(0.1), after(0.0), after(0.0)) as (slow, fast, other):
        ports = slow.port, fast.port, other.port
        async with in_process(
            config(*ports, models=model("lowest_latency", "", "", ""))
        ) as gateway:
            await ask_many(gateway, 30, stream=True)
            served = Counter(await ask_many(gateway, 100, stream=True))
    # The slow one gets what two draws that both fall on it leave: a ninth.
    assert served["p0"] <= 30, served
    # But it is not forgotten.
    assert len(slow.asked) >= 1


@pytest.mark.slow
async def test_failing_fast_attracts_nobody() -> None:
    async with providers(lambda _: [(0.0, failure(500))], after(0.03), after(0.03)) as (
        failing,
        well,
        other,
    ):
        ports = failing.port, well.port, other.port
        text = config(*ports, models=model("lowest_latency", "", "", ""), tokens=NO_BREAKER)
        async with in_process(text) as gateway:
            served = Counter(await ask_many(gateway, 60, stream=True))
    assert "p0" not in served
    assert len(failing.asked) <= 25


NO_BREAKER = "[breaker]\nenabled = false\n"

# Names...

FAMILIES = """
[[models]]
name = "openai/*"
routes = [{ provider = "p0", model = "*" }]
[[models]]
name = "openai/special/*"
routes = [{ provider = "p0", model = "special-*" }]
[[models]]
name = "oa/*"
alias = "openai/*"
[[models]]
name = "fast"
alias = "openai/gpt-5-mini"
[[models]]
name = "faster"
alias = "fast"
[[models]]
name = "fixed/*"
routes = [{ provider = "p0", model = "one-and-only" }]
[[tokens]]
name = "all"
key = "sk-key-of-all"
[[tokens]]
name = "some"
key = "sk-key-of-some"
models = ["m", "openai/gpt-5", "oa/*"]
"""


@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("openai/gpt-5", "gpt-5"),
        ("openai/ft:gpt-5:org::id", "ft:gpt-5:org::id"),
        ("openai/meta/llama", "meta/llama"),
        ("openai/special/x", "special-x"),
        ("oa/gpt-5", "gpt-5"),
        ("oa/special/x", "special-x"),
        ("fast", "gpt-5-mini"),
        ("faster", "gpt-5-mini"),
        ("fixed/whatever", "one-and-only"),
        ("m", "real-model"),
    ],
)
@both_kinds
async def test_names_lead_to_models(name: str, real: str, stream: bool) -> None:
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port, models=FAMILIES)) as gateway,
    ):
        reply = await ask(gateway.port, key="sk-key-of-all", model=name, stream=stream)
        record = await gateway.record()
    assert reply.status == 200, reply.body
    assert provider.asked[0].json["model"] == real
    assert reply.headers["x-gateway-model"] == real
    # The caller sees the name that it asked for.
    assert f'"model":"{name}"'.encode() in reply.body.replace(b'": "', b'":"')
    assert (record.model, record.provider_model) == (name, real)


async def test_models_are_those_that_the_token_may_use() -> None:
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port, models=FAMILIES)) as gateway,
    ):

        async def listed(key: str) -> list[str]:
            reply = await get(gateway.port, "/v1/models", key=key)
            assert reply.status == 200
            return [each["id"] for each in reply.json["data"]]

        assert await listed("sk-key-of-all") == ["m", "fast", "faster"]
        assert await listed("sk-key-of-some") == ["m", "openai/gpt-5"]
        assert (await get(gateway.port, "/v1/models")).status == 401
        one = await get(gateway.port, "/v1/models/openai/gpt-5", key="sk-key-of-some")
        assert (one.status, one.json["id"]) == (200, "openai/gpt-5")
        hidden = await get(gateway.port, "/v1/models/fast", key="sk-key-of-some")
        assert (hidden.status, hidden.error["code"]) == (404, "model_not_found")
        replies = {
            name: await ask(gateway.port, key="sk-key-of-some", model=name)
            for name in ("m", "openai/gpt-5", "oa/x", "fast", "openai/gpt-4", "oa/", "*", "no")
        }
    statuses = {name: reply.status for name, reply in replies.items()}
    assert statuses.pop("fast") == 403  # the configuration names it, the token does not
    served = [name for name, status in statuses.items() if status == 200]
    assert served == ["m", "openai/gpt-5", "oa/x"]
    # The rest is behind a name that ends in *, or is nothing.
    refusals = {name: status for name, status in statuses.items() if name not in served}
    assert refusals == {"openai/gpt-4": 403, "oa/": 404, "*": 404, "no": 404}
    refused = [reply for reply in replies.values() if reply.status != 200]
    assert {reply.error["code"] for reply in refused} == {"model_not_found"}
    assert {reply.error["param"] for reply in refused} == {"model"}
    assert len(provider.asked) == 3


# Keys...


def two_keys(port: int, more: str = "") -> str:
    return config(
        port,
        provider="max_connections = 100",
        tokens=f'[[tokens]]\nname = "app"\nkey = "sk-of-the-caller"\n{more}',
    ).replace('api_key = "sk-provider"', 'api_keys = ["sk-one", "sk-two"]')


def keys_of(asked: Sequence[Asked]) -> Counter[str]:
    return Counter(each.headers["authorization"].removeprefix("Bearer ") for each in asked)


@both_kinds
async def test_keys_are_used_in_turn_and_never_the_callers(stream: bool) -> None:
    async with (
        serving(speaking) as provider,
        in_process(two_keys(provider.port)) as gateway,
    ):
        for _ in range(10):
            reply = await ask(gateway.port, key="sk-of-the-caller", stream=stream)
            assert reply.status == 200
    assert keys_of(provider.asked) == {"sk-one": 5, "sk-two": 5}
    for asked in provider.asked:
        assert "sk-of-the-caller" not in repr(asked.headers)


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_bad_key_is_set_aside(status: int, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(asked: Asked) -> Script:
        if asked.headers["authorization"] == "Bearer sk-two":
            return [(0.0, failure(status, "incorrect API key provided: sk-two", code="bad"))]
        return speaking(asked)

    async with (
        serving(answer) as provider,
        in_process(two_keys(provider.port)) as gateway,
    ):
        replies = [await ask(gateway.port, key="sk-of-the-caller") for _ in range(6)]
        records = [await gateway.record(number) for number in range(1, 7)]
    assert {reply.status for reply in replies} == {200}
    # Once, and its request went on with the other.
    assert keys_of(provider.asked) == {"sk-one": 6, "sk-two": 1}
    causes = [[each.cause for each in record.attempts] for record in records]
    cause = "auth_failed" if status == 401 else "account_refused"
    assert causes == [[None], [cause, None], [None], [None], [None], [None]]
    said = capsys.readouterr()
    assert "key 2" in said.out + said.err
    assert "sk-two" not in said.out + said.err
    assert all("sk-two" not in repr(record) for record in records)


async def test_without_a_good_key_no_caller_sees_why() -> None:
    async with (
        serving([(0.0, failure(401, "incorrect API key provided: sk-***two"))]) as provider,
        in_process(two_keys(provider.port)) as gateway,
    ):
        first = await ask(gateway.port, key="sk-of-the-caller")
        second = await ask(gateway.port, key="sk-of-the-caller")
    assert first.status == 502
    assert second.status == 503
    assert second.error["code"] == "auth_unavailable"
    assert b"API key provided" not in first.body + second.body
    assert keys_of(provider.asked) == {"sk-one": 1, "sk-two": 1}


# Health checks...


class Patient:
    """A provider's answers: its list of models, and chats, each well or not."""

    def __init__(self) -> None:
        self.lists = self.chats = True

    def __call__(self, asked: Asked) -> Script:
        if asked.method == "GET":
            return [(0.0, whole(200 if self.lists else 503, {"object": "list", "data": []}))]
        return speaking(asked) if self.chats else [(0.0, failure(500))]


PROBE = 'probe = { path = "/models", interval = 0.1, timeout = 0.5, failures = 2 }'


def chats(provider: Provider) -> int:
    return sum(asked.method == "POST" for asked in provider.asked)


@pytest.mark.measured
async def test_failed_health_checks_keep_requests_away() -> None:
    patient = Patient()
    async with (
        serving(patient) as first,
        serving(speaking) as second,
        in_process(
            config(first.port, second.port).replace(
                'api_key = "sk-provider"', f'api_key = "sk-provider"\n{PROBE}', 1
            )
        ) as gateway,
    ):

        async def by() -> str:
            reply = await ask(gateway.port)
            assert reply.status == 200
            return reply.headers["x-gateway-provider"]

        await first.wait_asked(2)
        assert {asked.target for asked in first.asked} == {"/v1/models"}
        assert first.asked[0].headers["authorization"] == "Bearer sk-provider"
        assert await by() == "p0"
        patient.lists = False
        # Chats would still work, yet nobody is sent there to find out.
        with trio.fail_after(30):
            while await by() == "p0":  # noqa: ASYNC110  # it is asking that finds out
                await trio.sleep(0.02)
        before = chats(first)
        for _ in range(10):
            assert await by() == "p1"
        assert chats(first) == before
        patient.lists = True
        # Far sooner than the five seconds of its breaker.
        with trio.fail_after(2):
            while await by() != "p0":  # noqa: ASYNC110
                await trio.sleep(0.02)
    assert not any(asked.method == "GET" for asked in second.asked)


@pytest.mark.measured
async def test_health_check_brings_requests_back_early_but_does_not_judge_them() -> None:
    patient = Patient()
    async with (
        serving(patient) as provider,
        in_process(config(provider.port, provider=PROBE, retry="max_attempts = 1")) as gateway,
    ):
        patient.chats = patient.lists = False
        await until(lambda: len(provider.asked) >= 4, "some health checks")
        # What they find is known a moment after they were asked.
        with trio.fail_after(PATIENCE):
            while (await ask(gateway.port)).status != 503:  # noqa: ASYNC110
                await trio.sleep(0.02)

        async def is_left_alone() -> None:
            """Hold that few find out by a chat: two a second, since no other is left."""
            tried, began = chats(provider), trio.current_time()
            replies = [await ask(gateway.port) for _ in range(10)]
            refused = [reply for reply in replies if reply.status == 503]
            assert {reply.error["code"] for reply in refused} == {"no_healthy_upstream"}
            assert len(replies) - len(refused) == chats(provider) - tried
            assert len(replies) - len(refused) <= 3 + 2 * (trio.current_time() - began)

        await is_left_alone()
        # It lists its models, but it does not chat.
        patient.lists = True
        seen = len(provider.asked)
        await until(lambda: len(provider.asked) >= seen + 2, "good health checks")
        await is_left_alone()
        patient.chats = True
        with trio.fail_after(30):
            while (await ask(gateway.port)).status != 200:  # noqa: ASYNC110
                await trio.sleep(0.02)


# Hedges...


def hedged(after: str = "0.1", extra: int = 1) -> str:
    """Return the rest of the table of the model `m`."""
    return f"hedge = {{ after = {after}, max_extra = {extra} }}"


def stalls(asked: Asked) -> Script:
    if asked.json.get("stream"):
        begun = framed(event({"role": "assistant", "content": ""}))
        return [(0.0, stream_head()), (0.0, begun), (0.0, STALL)]
    return [(0.0, STALL)]


@both_kinds
@pytest.mark.measured
async def test_hedge_wins_and_the_slow_call_is_ended(stream: bool) -> None:
    async with (
        serving(stalls) as slow,
        serving(speaking) as quick,
        in_process(config(slow.port, quick.port, models=hedged())) as gateway,
    ):
        began = trio.current_time()
        reply = await ask(gateway.port, stream=stream)
        # The slow one never answers.
        assert trio.current_time() - began >= 0.1
        with trio.fail_after(30):
            await slow.asked[0].peer_left.wait()
        await slow.wait_open(0, 1)
        record = await gateway.record()
        await gateway.settled()
    assert reply.status == 200
    assert reply.complete
    assert reply.headers["x-gateway-provider"] == "p1"
    assert reply.headers["x-gateway-attempts"] == "2"
    assert [each.cause for each in record.attempts] == [Cause.HEDGED.value, None]
    # The loser has read the prompt: that is paid, beside the winner's answer.
    lost = record.attempts[0].cost_nano_usd
    assert lost
    assert record.cost_nano_usd == 19 * 1000 + 10 * 2000 + lost
    assert (len(slow.asked), len(quick.asked)) == (1, 1)


async def test_first_may_still_win_and_then_the_hedge_is_ended() -> None:
    async with (
        serving(after(0.3)) as slow,
        serving(stalls) as stalled,
        in_process(config(slow.port, stalled.port, models=hedged())) as gateway,
    ):
        reply = await ask(gateway.port, stream=True)
        with trio.fail_after(30):
            await stalled.asked[0].peer_left.wait()
        record = await gateway.record()
    assert reply.headers["x-gateway-provider"] == "p0"
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert [each.cause for each in record.attempts] == [None, Cause.HEDGED.value]


async def test_caller_who_leaves_ends_both_sides_of_a_race() -> None:
    async with (
        serving(stalls) as first,
        serving(stalls) as second,
        in_process(config(first.port, second.port, models=hedged("0.05"))) as gateway,
    ):
        async with calling(gateway.port) as caller:
            await caller.ask(stream=True)
            await second.wait_asked(1)
        await first.wait_open(0, 1)
        await second.wait_open(0, 1)
        await gateway.settled(1)


async def test_hedge_is_not_made_when_the_first_is_quick() -> None:
    async with (
        serving(speaking) as first,
        serving(speaking) as second,
        in_process(config(first.port, second.port, models=hedged("0.5"))) as gateway,
    ):
        for _ in range(5):
            assert (await ask(gateway.port, stream=True)).status == 200
    assert (len(first.asked), len(second.asked)) == (5, 0)


def slow_failure(_: Asked) -> Script:
    return [(0.1, failure(500))]


@pytest.mark.measured
@pytest.mark.slow
@both_kinds
async def test_without_leave_to_hedge_a_failure_still_falls_back(stream: bool) -> None:
    # Three hedges are in reserve, then one in twenty requests may have one.
    under_way: list[bool] = []

    def answer(asked: Asked) -> Script:
        # Hedged is who is asked while the other is under way.
        under_way.append(not first.asked[-1].played.is_set())
        return speaking(asked)

    async with (
        # Long after the moment of the hedge, also on a busy machine.
        serving([(0.5, failure(500))]) as first,
        serving(answer) as second,
        in_process(
            config(*(first.port, second.port), models=hedged("0.03"), tokens=NO_BREAKER)
        ) as gateway,
    ):
        replies = [await ask(gateway.port, stream=stream) for _ in range(7)]
        records = [await gateway.record(number) for number in range(1, 8)]
    assert [reply.status for reply in replies] == [200] * 7
    for record in records:
        assert [each.provider for each in record.attempts] == ["p0", "p1"]
    assert under_way == [True] * 3 + [False] * 4


async def test_hedge_that_the_retry_budget_refuses_is_no_attempt() -> None:
    none_left = (
        "base = 0.01\nmax_attempts = 2\n[retry.budget]\nratio = 0.0\nper_second = 0.0\n"
        "concurrent_ratio = 0.0\nconcurrent_min = 0\n"
    )
    async with (
        serving(slow_failure) as first,
        serving(speaking) as second,
        in_process(
            config(first.port, second.port, retry=none_left, models=hedged("0.03"))
        ) as gateway,
    ):
        reply = await ask(gateway.port)
        record = await gateway.record()
    # Not beside it, then, but behind it: the second route is well.
    assert reply.status == 200
    assert [each.provider for each in record.attempts] == ["p0", "p1"]
    assert record.latency_ms >= 100
