"""Kept answers and shared calls, as callers on real connections see them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

from gateway.core.records.record import EndReason

from .caller import Reply, ask, calling
from .harness import config, in_process
from .provider import Asked, Provider, serving, until
from .wire import RESET, Script, broken, completion, event, failure, streamed, whole, words

KEPT = "cache = { ttl = 60 }"
SHARED = "cache = { ttl = 60, coalesce = true }"
TOKENS = "".join(
    f'[[tokens]]\nname = "{name}"\nkey = "sk-key-of-{name}"\n' for name in ("one", "other")
)
# A second name of its own, without a cache of its own.
UNKEPT = """
[[models]]
name = "plain"
routes = [{ provider = "p0", model = "real-model" }]
"""

both_kinds = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def counting(*, pace: float = 0.0) -> Callable[[Asked], Script]:
    """Answer each request with another text."""
    numbers: Iterator[int] = itertools.count(1)

    def answer(asked: Asked) -> Script:
        text = f"answer {next(numbers)}, caf\u00e9"
        if asked.json.get("stream"):
            return streamed(words(*text.partition(" "), usage=asked.wants_usage), pace=pace)
        return [(pace, whole(200, completion(text)))]

    return answer


def header(value: str) -> list[tuple[str, str]]:
    return [("x-gateway-cache", value)]


def state(reply: Reply) -> str | None:
    assert reply.status == 200, reply.body
    assert reply.complete
    return reply.headers.get("x-gateway-cache")


@both_kinds
@pytest.mark.measured
async def test_second_time_is_a_hit_byte_for_byte(stream: bool) -> None:
    options: dict[str, Any] = {"stream": stream, "temperature": 0}
    async with (
        serving(counting()) as provider,
        in_process(config(provider.port, models=KEPT)) as gateway,
    ):
        first = await ask(gateway.port, **options)
        second = await ask(gateway.port, **options)
        await trio.sleep(1.05)
        third = await ask(gateway.port, **options)
        other = await ask(gateway.port, **{**options, "temperature": 1})
        records = [await gateway.record(number) for number in range(1, 5)]
    assert [state(each) for each in (first, second, third, other)] == ["miss", "hit", "hit", "miss"]
    assert len(provider.asked) == 2
    assert first.body == second.body == third.body != other.body
    assert (second.headers["age"], third.headers["age"]) == ("0", "1")
    assert "age" not in first.headers
    for name in ("content-type", "cache-control"):
        assert first.headers.get(name) == second.headers.get(name)
    assert ("content-length" in second.headers) is not stream
    # A hit has an id of its own, and no attempt.
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert "x-gateway-attempts" not in second.headers
    assert [record.cached for record in records] == [False, True, True, False]
    assert [record.cost_nano_usd for record in records] == [39_000, 0, 0, 39_000]
    assert records[1].end_reason is EndReason.CACHED
    assert records[1].attempts == []


async def test_the_same_request_written_otherwise_is_a_hit() -> None:
    one = {"model": "m", "messages": [{"role": "user", "content": "Zürich"}], "top_p": 1}
    bodies = [
        json.dumps(one).encode(),
        json.dumps(dict(reversed(one.items())), indent=2).encode(),
        json.dumps(one, ensure_ascii=False).encode(),
    ]
    replies = []
    async with (
        serving(counting()) as provider,
        in_process(config(provider.port, models=KEPT)) as gateway,
        calling(gateway.port) as caller,
    ):
        for body in [*bodies, bodies[0].replace(b"1}", b"1.0}")]:
            await caller.post(body)
            replies.append(await caller.reply())
    assert [state(reply) for reply in replies] == ["miss", "hit", "hit", "miss"]


async def test_stream_and_whole_answer_are_two() -> None:
    async with (
        serving(counting()) as provider,
        in_process(config(provider.port, models=KEPT)) as gateway,
    ):
        replies = [await ask(gateway.port, stream=stream) for stream in (True, False) * 2]
    assert [state(reply) for reply in replies] == ["miss", "miss", "hit", "hit"]


async def test_request_may_keep_out_of_it() -> None:
    async with (
        serving(counting()) as provider,
        in_process(config(provider.port, models=KEPT)) as gateway,
    ):
        first = await ask(gateway.port)
        off = await ask(gateway.port, headers=header("off"))
        third = await ask(gateway.port)
        wrong = await ask(gateway.port, headers=header("ttl=never"))
    assert [state(each) for each in (first, off, third)] == ["miss", None, "hit"]
    assert third.body == first.body != off.body
    assert len(provider.asked) == 2
    assert wrong.status == 400


@pytest.mark.measured
async def test_request_may_ask_for_it_and_for_how_long() -> None:
    async with (
        serving(counting()) as provider,
        in_process(config(provider.port, models=UNKEPT)) as gateway,
    ):

        async def plain(value: str | None) -> Reply:
            headers = header(value) if value else []
            return await ask(gateway.port, model="plain", headers=headers)

        assert [state(await plain(None)) for _ in range(2)] == [None, None]
        assert state(await plain("ttl=0.3")) == "miss"
        assert state(await plain("ttl=60")) == "hit"
        await trio.sleep(0.35)
        # Kept for no longer than it was kept for, whatever is asked for now.
        assert state(await plain("ttl=60")) == "miss"
        await trio.sleep(0.1)
        # And taken when no older than this.
        assert state(await plain("ttl=0.05")) == "miss"
        assert state(await plain("ttl=60")) == "hit"
    assert len(provider.asked) == 5


async def test_nobody_gets_what_another_token_asked_for() -> None:
    async with (
        serving(counting()) as provider,
        in_process(config(provider.port, models=KEPT, tokens=TOKENS)) as gateway,
    ):
        mine = [await ask(gateway.port, key="sk-key-of-one") for _ in range(2)]
        theirs = [await ask(gateway.port, key="sk-key-of-other") for _ in range(2)]
        stranger = await ask(gateway.port, key="sk-key-of-nobody")
    assert [state(each) for each in (*mine, *theirs)] == ["miss", "hit", "miss", "hit"]
    assert mine[0].body != theirs[0].body
    assert stranger.status == 401


@both_kinds
async def test_hit_counts_as_a_request_but_takes_no_tokens(stream: bool) -> None:
    limited = TOKENS.replace("[[tokens]]", "[[tokens]]\nrpm = 3\ntpm = 1000", 1)
    async with (
        serving(counting()) as provider,
        in_process(config(provider.port, models=KEPT, tokens=limited)) as gateway,
    ):
        replies = []
        for _ in range(4):
            replies.append(await ask(gateway.port, key="sk-key-of-one", stream=stream))
            await gateway.settled()
    assert [state(each) for each in replies[:3]] == ["miss", "hit", "hit"]
    assert replies[3].status == 429
    assert [each.headers["x-ratelimit-remaining-requests"] for each in replies] == [
        *("2", "1", "0", "0")
    ]
    # What the one call took; the hits' own reserves are still counted when their heads go out.
    assert int(replies[3].headers["x-ratelimit-remaining-tokens"]) >= 1000 - 29
    assert len(provider.asked) == 1


async def test_budget_is_not_spent_by_hits() -> None:
    spent = TOKENS.replace(
        "[[tokens]]", '[[tokens]]\nbudget = { usd = 0.00005, window = "total" }', 1
    )
    async with (
        serving(counting()) as provider,
        in_process(config(provider.port, models=KEPT, tokens=spent)) as gateway,
    ):
        for _ in range(5):
            reply = await ask(gateway.port, key="sk-key-of-one")
            assert reply.status == 200
            await gateway.settled()
        # A second call still fits, and then nothing does.
        statuses = []
        for user in ("a", "b"):
            statuses.append((await ask(gateway.port, key="sk-key-of-one", user=user)).status)
            await gateway.settled()
    assert statuses == [200, 429]
    assert len(provider.asked) == 2


BROKEN: dict[str, Script] = {
    "500": [(0.0, failure(500))],
    "400": [(0.0, failure(400))],
    "cut": broken([event({"content": "Hel"})], RESET),
    "error-event": streamed(
        [event({"content": "Hel"}), b'data: {"error":{"message":"x","code":500}}\n\n']
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("kept", [KEPT, SHARED], ids=["kept", "shared"])
async def test_only_whole_successes_are_kept(fault: str, kept: str) -> None:
    async with (
        serving(BROKEN[fault], counting()) as provider,
        in_process(config(provider.port, models=kept, retry="max_attempts = 1")) as gateway,
    ):
        first = await ask(gateway.port, stream=True)
        await gateway.settled()
        second = await ask(gateway.port, stream=True)
        third = await ask(gateway.port, stream=True)
    assert first.status != 200 or not first.complete
    assert [state(second), state(third)] == ["miss", "hit"]
    assert len(provider.asked) == 2


async def test_whoever_leaves_leaves_half_an_answer_unkept() -> None:
    async with (
        serving(counting(pace=0.05)) as provider,
        in_process(config(provider.port, models=KEPT)) as gateway,
    ):
        async with calling(gateway.port) as caller:
            await caller.ask(stream=True)
            assert await caller.head() == 200
            await caller.until(b"answer")
        await provider.wait_open(0, 30)
        await gateway.settled()
        again = await ask(gateway.port, stream=True)
    assert state(again) == "miss"
    assert again.body.endswith(b"data: [DONE]\n\n")


# Shared calls...


@both_kinds
async def test_twenty_at_once_share_one_call(stream: bool) -> None:
    async with (
        serving(counting(pace=0.1)) as provider,
        in_process(config(provider.port, models=SHARED)) as gateway,
    ):
        replies: list[Reply] = []

        async def call() -> None:
            replies.append(await ask(gateway.port, stream=stream))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(call)
        await gateway.settled()
        records = [await gateway.record(number) for number in range(1, 21)]
        later = await ask(gateway.port, stream=stream)
    assert len(provider.asked) == 1
    assert len({reply.body for reply in replies}) == 1
    assert sorted(state(reply) or "" for reply in replies) == ["hit"] * 19 + ["miss"]
    assert state(later) == "hit"
    assert later.body == replies[0].body
    # It is paid once.
    assert sorted(record.cost_nano_usd or 0 for record in records) == [0] * 19 + [39_000]
    assert sum(len(record.attempts) for record in records) == 1


@pytest.mark.parametrize("way", ["before-content", "in-the-middle"])
async def test_first_caller_may_leave_and_the_others_get_all(way: str) -> None:
    tokens = TOKENS.replace("[[tokens]]", "[[tokens]]\nmax_concurrent = 20", 1)
    async with (
        serving(counting(pace=0.15)) as provider,
        in_process(config(provider.port, models=SHARED, tokens=tokens)) as gateway,
        AsyncExitStack() as stack,
    ):
        callers = [await stack.enter_async_context(calling(gateway.port)) for _ in range(20)]
        await callers[0].ask(stream=True, key="sk-key-of-one")
        await provider.wait_asked(1)
        for caller in callers[1:]:
            await caller.ask(stream=True, key="sk-key-of-one")
        await until(lambda: gateway.lifecycle.in_flight == 21, "all of them and their flight")
        if way == "in-the-middle":
            assert await callers[0].head() == 200
            await callers[0].until(b"answer")
        callers[0].reset()
        # The one who left gives its place back, though the call goes on.
        await until(lambda: gateway.lifecycle.in_flight == 20, "one less", 30)
        late = await stack.enter_async_context(calling(gateway.port))
        await late.ask(stream=True, key="sk-key-of-one")
        assert await late.head() == 200
        replies = [await caller.reply() for caller in callers[1:]]
        rest, complete = await late.rest()
        await gateway.settled()
        record = next(each for each in gateway.records if each.attempts)
    assert len(provider.asked) == 1
    assert not provider.asked[0].peer_left.is_set()
    assert [state(reply) for reply in replies] == ["hit"] * 19
    assert complete
    assert {reply.body for reply in replies} == {rest}
    assert rest.endswith(b"data: [DONE]\n\n")
    # The first one's record has the whole call's use, and says that it left.
    assert record.end_reason is EndReason.CLIENT_GONE
    assert (record.input_tokens, record.output_tokens) == (19, 10)


async def test_when_all_have_left_the_call_ends() -> None:
    async with (
        serving(counting(pace=0.3)) as provider,
        in_process(config(provider.port, models=SHARED)) as gateway,
    ):
        async with AsyncExitStack() as stack:
            callers = [await stack.enter_async_context(calling(gateway.port)) for _ in range(3)]
            for caller in callers:
                await caller.ask(stream=True)
            await provider.wait_asked(1)
        with trio.fail_after(30):
            await provider.asked[0].peer_left.wait()
        await gateway.settled()
    assert len(provider.asked) == 1


async def test_refusal_of_a_shared_call_is_everyones() -> None:
    async with (
        serving([(0.2, failure(400, "no such option"))]) as provider,
        in_process(config(provider.port, models=SHARED)) as gateway,
    ):
        replies: list[Reply] = []

        async def call() -> None:
            replies.append(await ask(gateway.port, stream=True))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(call)
    assert len(provider.asked) == 1
    assert {(reply.status, reply.error["message"]) for reply in replies} == {
        (400, "no such option")
    }


# Answers of a fallback model...

BACKUP = """
{cache}
fallbacks = ["back"]
[[models]]
name = "other"
alias = "m"
[[models]]
name = "back"
routes = [{{ provider = "p1", model = "spare-model" }}]
"""


def with_backup(first: Provider, spare: Provider, cache: str, server: str = "") -> str:
    """Return a configuration in which the model `back` stands behind `m`."""
    text = config(first.port, spare.port, server=server, models=BACKUP.format(cache=cache))
    return re.sub(r', \{ provider = "p1", model = "real-model"[^}]*\}', "", text, count=1)


def named(reply: Reply) -> set[str]:
    """Return the models that an answer says it is of."""
    assert state(reply) is not None
    if reply.headers["content-type"] == "application/json":
        return {reply.json["model"]}
    datas = [each.removeprefix(b"data: ") for each in reply.events]
    return {json.loads(data)["model"] for data in datas if data != b"[DONE]"}


@both_kinds
@pytest.mark.parametrize("shown", ["served", "asked"])
async def test_a_hit_names_the_fallback_that_answered(stream: bool, shown: str) -> None:
    async with (
        serving([(0.0, failure(429))]) as limited,
        serving(counting()) as spare,
        in_process(
            with_backup(limited, spare, KEPT, server=f'answer_model = "{shown}"')
        ) as gateway,
    ):
        replies = [await ask(gateway.port, stream=stream) for _ in range(2)]
        records = [await gateway.record(number) for number in (1, 2)]
        # Under its other name the model is the same, and so is the answer.
        alias = await ask(gateway.port, stream=stream, model="other")
    assert [state(reply) for reply in replies] == ["miss", "hit"]
    wanted = {"back"} if shown == "served" else {"m"}
    assert [named(reply) for reply in replies] == [wanted, wanted]
    assert [reply.headers["x-gateway-fallback"] for reply in replies] == ["back", "back"]
    assert [record.fallback_model for record in records] == ["back", "back"]
    assert named(alias) == ({"back"} if shown == "served" else {"other"})
    assert alias.headers["x-gateway-fallback"] == "back"


@both_kinds
async def test_callers_of_a_shared_call_learn_of_the_fallback(stream: bool) -> None:
    async with (
        serving([(0.1, failure(429))]) as limited,
        serving(counting(pace=0.1)) as spare,
        in_process(with_backup(limited, spare, SHARED)) as gateway,
    ):
        replies = await together(gateway.port, 5, stream=stream)
        records = [await gateway.record(number) for number in range(1, 6)]
    assert sorted(str(state(reply)) for reply in replies) == ["hit"] * 4 + ["miss"]
    assert [named(reply) for reply in replies] == [{"back"}] * 5
    assert {reply.headers["x-gateway-fallback"] for reply in replies} == {"back"}
    assert {record.fallback_model for record in records} == {"back"}
    assert len({reply.body for reply in replies}) == 1


@pytest.mark.slow
@both_kinds
@pytest.mark.parametrize(
    ("script", "status", "attempts"),
    [
        ([(0.1, failure(500))], 502, 3),
        ([(0.1, failure(429))], 429, 3),
        ([(0.1, failure(422))], 422, 2),
        ([(0.1, RESET)], 502, 3),
    ],
    ids=["500", "429", "422", "reset"],
)
async def test_callers_of_a_shared_call_learn_how_often_it_was_tried(
    stream: bool, script: Script, status: int, attempts: int
) -> None:
    async with (
        serving([(0.1, failure(429))]) as limited,
        serving(script) as spare,
        in_process(with_backup(limited, spare, SHARED)) as gateway,
    ):
        replies = await together(gateway.port, 4, stream=stream)
        records = [await gateway.record(number) for number in range(1, 5)]
    assert [reply.status for reply in replies] == [status] * 4
    assert [reply.headers["x-gateway-attempts"] for reply in replies] == [str(attempts)] * 4
    assert len(limited.asked) + len(spare.asked) == attempts
    assert sorted(len(record.attempts) for record in records) == [0, 0, 0, attempts]
    # Who made it pays for it, if it is known at all; the others do not.
    assert [record.cost_nano_usd for record in records].count(0) == 3


async def together(port: int, count: int, **body: Any) -> list[Reply]:
    """Make equal requests at the same time."""
    replies: list[Reply] = []

    async def call() -> None:
        replies.append(await ask(port, **body))

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(call)
    return replies
