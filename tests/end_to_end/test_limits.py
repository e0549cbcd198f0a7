"""Limits as callers meet them, the official OpenAI SDK among them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import pytest
import trio

from gateway.core.records.record import EndReason
from tests.late import openai

from .caller import Reply, ask, calling, get
from .harness import PATIENCE, InProcess, config, in_process
from .provider import Asked, serving, speaking, until
from .wire import STALL, Script, event, failure, framed, stream_head

T = TypeVar("T")

KEY = "sk-key-of-app"
SIX = [
    f"x-ratelimit-{each}-{dimension}"
    for dimension in ("requests", "tokens")
    for each in ("limit", "remaining", "reset")
]
BOTH_KINDS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def token(limits: str, name: str = "app") -> str:
    return f'[[tokens]]\nname = "{name}"\nkey = "sk-key-of-{name}"\n{limits}\n'


@contextmanager
def sdk(gateway: InProcess, key: str = KEY) -> Iterator[openai.OpenAI]:
    """Return the SDK's own client. It is synchronous: use it in a thread."""
    with (
        openai.DefaultHttpxClient(trust_env=False) as http,
        openai.OpenAI(base_url=gateway.url, api_key=key, http_client=http, timeout=20) as client,
    ):
        yield client


async def in_thread(call: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(call)


def hello(client: openai.OpenAI, **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": "Hi"}]
    return client.chat.completions.create(model="m", messages=messages, **more)


async def refused(client: openai.OpenAI) -> openai.APIStatusError:
    """Return what the SDK raises for a request that it is not to repeat."""
    once = client.with_options(max_retries=0)
    with pytest.raises(openai.APIStatusError) as caught:
        await in_thread(partial(hello, once))
    return caught.value


def seconds(duration: str) -> float:
    """Read a duration as OpenAI's headers have it, such as 6m0s or 20ms."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)s)?(?:(\d+)ms)?", duration)
    assert match, duration
    hours, minutes, rest, milliseconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest + milliseconds / 1000


# With the SDK...


async def test_sdk_reads_the_six_headers() -> None:
    text = token("rpm = 6\ntpm = 600")
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port, tokens=text)) as gateway,
    ):
        with sdk(gateway) as client:
            raw = await in_thread(
                partial(
                    client.chat.completions.with_raw_response.create,
                    model="m",
                    messages=[{"role": "user", "content": "Hi"}],
                )
            )
            streamed = await in_thread(
                partial(
                    client.chat.completions.with_raw_response.create,
                    model="m",
                    messages=[{"role": "user", "content": "Hi"}],
                    stream=True,
                )
            )
            await in_thread(lambda: [*streamed.parse()])
        listed = await get(gateway.port, "/v1/models", key=KEY)
    for headers in (raw.headers, streamed.headers, listed.headers):
        found = {name: headers.get(name) for name in SIX}
        assert None not in found.values(), found
        assert (found[SIX[0]], found[SIX[3]]) == ("6", "600")
        assert 0 < seconds(found[SIX[2]] or "") <= 20.0
    assert raw.headers[SIX[1]] == "5"
    assert streamed.headers[SIX[1]] == "4"
    assert listed.headers[SIX[1]] == "4"
    assert 550 <= int(raw.headers[SIX[4]]) < 600
    # A list of models takes no tokens: both chats with 29 each have been settled.
    assert 600 - 58 <= int(listed.headers[SIX[4]]) <= 600 - 58 + 30


async def test_sdk_raises_rate_limit_error() -> None:
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port, tokens=token("rpm = 2"))) as gateway,
    ):
        with sdk(gateway) as client:
            for _ in range(2):
                await in_thread(partial(hello, client))
            error = await refused(client)
    assert isinstance(error, openai.RateLimitError)
    assert (error.code, error.type, error.param) == ("rate_limit_exceeded", "requests", None)
    headers = error.response.headers
    assert 28 <= int(headers["retry-after"]) <= 30
    assert 28_000 <= int(headers["retry-after-ms"]) <= 30_000
    assert headers["x-should-retry"] == "true"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert "x-ratelimit-limit-tokens" not in headers
    assert len(provider.asked) == 2


async def test_sdk_raises_rate_limit_error_for_tokens() -> None:
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port, tokens=token("tpm = 100"))) as gateway,
    ):
        with sdk(gateway) as client:
            large = client.with_options(max_retries=2)
            with pytest.raises(openai.RateLimitError) as caught:
                await in_thread(partial(hello, large, max_tokens=200))
            never = caught.value
            for _ in range(3):
                await in_thread(partial(hello, client))
            error = await refused(client)
        records = gateway.records
    # It can never pass: the SDK is told not to try again.
    assert (never.code, never.type) == ("rate_limit_exceeded", "tokens")
    assert never.response.headers["x-should-retry"] == "false"
    assert "retry-after" not in never.response.headers
    assert (error.code, error.type) == ("rate_limit_exceeded", "tokens")
    assert 0 < int(error.response.headers["retry-after-ms"]) <= 60_000
    assert [record.status for record in records] == [429, 200, 200, 200, 429]


async def exhaust(port: int) -> None:
    """Use up the requests, and return with most of the time until the next before us."""

    async def use_up() -> None:
        async with calling(port) as caller:
            while True:
                await caller.ask(key=KEY)
                reply = await caller.reply()
                if reply.status == 429 and int(reply.headers["retry-after-ms"]) > 75:
                    return

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(use_up)


@pytest.mark.slow
@pytest.mark.measured
async def test_sdk_tries_again_when_told_to() -> None:
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port, tokens=token("rpm = 600"))) as gateway,
    ):
        with sdk(gateway) as client:
            await in_thread(partial(hello, client))  # so that it is connected
            for _ in range(5):
                await exhaust(gateway.port)
                await gateway.settled()
                before, began = len(gateway.records), trio.current_time()
                answer = await in_thread(partial(hello, client))
                took = trio.current_time() - began
                await gateway.settled()
                assert answer.choices[0].message.content == "Hello there."
                statuses = [record.status for record in gateway.records[before:]]
                if statuses != [200]:
                    break
        # Refused, asked again after about a tenth of a second as `retry-after-ms` says, and not
        # after a second as `Retry-After` must.
        assert statuses == [429, 200]
        assert took < 0.9


async def test_sdk_does_not_try_again_without_budget() -> None:
    # One request costs 19 * 1 + 10 * 2 millionths of a dollar.
    text = token('budget = { usd = 0.00003, window = "total" }')
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port, tokens=text)) as gateway,
    ):
        with sdk(gateway) as client:
            await in_thread(partial(hello, client))
            with pytest.raises(openai.RateLimitError) as caught:
                await in_thread(partial(hello, client.with_options(max_retries=5)))
        statuses = [record.status for record in gateway.records]
    error = caught.value
    assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota")
    assert error.response.headers["x-should-retry"] == "false"
    assert statuses == [200, 429]
    assert len(provider.asked) == 1


@pytest.mark.slow
@BOTH_KINDS
@pytest.mark.parametrize("says", [{"max_tokens": 1000}, {"max_tokens": 5e2, "n": 2}, {}])
async def test_a_budget_holds_with_many_at_once(stream: bool, says: dict[str, Any]) -> None:
    # Each may cost 2 thousandths of a dollar and its prompt.
    text = token('budget = { usd = 0.0041, window = "total" }')
    replies: list[Reply] = []

    async def call() -> None:
        replies.append(await ask(gateway.port, key=KEY, stream=stream, **says))

    async with (
        serving(slow(1.0), slow(1.0), slow(1.0), speaking) as provider,
        in_process(config(provider.port, tokens=text)) as gateway,
    ):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(call)
        served = [reply for reply in replies if reply.status == 200]
        refusals = [reply for reply in replies if reply.status == 429]
        # The third finds a little left.
        assert (len(served), len(refusals)) in ((2, 18), (3, 17))
        for reply in refusals:
            assert reply.error["code"] == "insufficient_quota"
            assert "reserved for your requests under way" in reply.error["message"]
            assert (reply.headers["retry-after"], reply.headers["x-should-retry"]) == ("1", "true")
        # They cost 39 millionths each: the rest is there again.
        await until(lambda: gateway.lifecycle.in_flight == 0, "all ended")
        assert (await ask(gateway.port, key=KEY, stream=stream, **says)).status == 200


@pytest.mark.parametrize("name", ["Include_Usage", "INCLUDE_USAGE"])
async def test_no_spelling_turns_the_usage_of_a_stream_off(name: str) -> None:
    text = token('budget = { usd = 1, window = "total" }')
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port, tokens=text)) as gateway,
    ):
        reply = await ask(gateway.port, key=KEY, stream=True, stream_options={name: False})
        assert (reply.status, reply.error["param"]) == (400, "stream_options")
    assert provider.asked == []


async def test_sdk_raises_authentication_error_for_an_expired_key() -> None:
    text = token("expires_at = 2020-01-01T00:00:00Z") + token(
        "expires_at = 2999-01-01T00:00:00+01:00", "other"
    )
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port, tokens=text)) as gateway,
    ):
        with sdk(gateway) as client:
            error = await refused(client)
            with pytest.raises(openai.AuthenticationError):
                await in_thread(lambda: [*client.models.list()])
        with sdk(gateway, "sk-key-of-other") as client:
            await in_thread(partial(hello, client))
    assert isinstance(error, openai.AuthenticationError)
    assert (error.code, error.status_code) == ("expired_api_key", 401)
    assert len(provider.asked) == 1


# At once...


def begins(_: Asked) -> Script:
    """Begin a stream that does not end."""
    return [(0.0, stream_head()), (0.0, framed(event({"content": "Hel"}))), (0.0, STALL)]


@pytest.mark.parametrize("way", ["close", "reset"])
async def test_open_streams_are_limited_and_free_again_when_closed(way: str) -> None:
    async with (
        serving(begins) as provider,
        in_process(config(provider.port, tokens=token("max_concurrent = 2"))) as gateway,
        calling(gateway.port) as first,
    ):
        await first.ask(key=KEY, stream=True)
        assert await first.head() == 200
        async with calling(gateway.port) as second:
            await second.ask(key=KEY, stream=True)
            assert await second.head() == 200
            reply = await ask(gateway.port, key=KEY, stream=True)
            assert reply.status == 429
            assert (reply.error["code"], reply.error["type"]) == ("rate_limit_exceeded", "requests")
            assert reply.headers["retry-after"] == "1"
            assert reply.headers["x-should-retry"] == "true"
            if way == "reset":
                second.reset()
        async with calling(gateway.port) as third:
            with trio.fail_after(PATIENCE):
                while third.status != 200:
                    await third.ask(key=KEY, stream=True)
                    if await third.head() != 200:
                        await third.rest()
                        third._h11.start_next_cycle()
                        await trio.sleep(0.02)
            assert len(provider.asked) == 3
            await provider.wait_open(2, 30)


@BOTH_KINDS
async def test_place_is_free_again_at_the_last_byte(stream: bool) -> None:
    limits = "[limits]\nmax_concurrent = 1\nmax_queue = 0\n" + token("max_concurrent = 1")
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port, tokens=limits)) as gateway,
        calling(gateway.port) as caller,
    ):
        for _ in range(50):
            await caller.ask(key=KEY, stream=stream)
            reply = await caller.reply()
            assert reply.status == 200, reply.body
    assert len(provider.asked) == 50


def slow(seconds: float) -> Callable[[Asked], Script]:
    def answer(asked: Asked) -> Script:
        (_, head), *rest = speaking(asked)
        return [(seconds, head), *rest]

    return answer


@BOTH_KINDS
@pytest.mark.measured
async def test_queue_is_served_in_turn(stream: bool) -> None:
    limits = "[limits]\nmax_concurrent = 1\nmax_queue = 4\nqueue_timeout = 5.0\n"
    async with (
        serving(slow(0.6), slow(0.05)) as provider,
        in_process(config(provider.port, tokens=limits)) as gateway,
    ):
        ended: list[int] = []
        replies: list[Reply] = []

        async def call(number: int) -> None:
            replies.append(await ask(gateway.port, user=f"user-{number}", stream=stream))
            ended.append(number)

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(call, number)
                await until(lambda n=number: gateway.lifecycle.in_flight > n, "one more")  # type: ignore[misc]
            # Four wait: a fifth is told at once.
            asked = trio.current_time()
            full = await ask(gateway.port)
            assert trio.current_time() - asked < 0.3
        took = trio.current_time() - began
    assert {reply.status for reply in replies} == {200}
    assert ended == [0, 1, 2, 3, 4]
    assert [asked.json["user"] for asked in provider.asked] == [f"user-{n}" for n in range(5)]
    assert 0.8 <= took < 2.5
    assert (full.status, full.error["code"]) == (503, "queue_full")
    assert 1 <= int(full.headers["retry-after"]) <= 5


async def test_queue_gives_each_token_its_turn() -> None:
    limits = "[limits]\nmax_concurrent = 1\nqueue_timeout = 5.0\n"
    tokens = limits + token("", "many") + token("", "few")
    async with (
        serving(slow(0.6), speaking) as provider,
        in_process(config(provider.port, tokens=tokens)) as gateway,
        trio.open_nursery() as nursery,
    ):
        names = ["many"] * 6 + ["few"] * 2
        for number, name in enumerate(names):
            nursery.start_soon(partial(ask, gateway.port, key=f"sk-key-of-{name}", user=name))
            await until(lambda n=number: gateway.lifecycle.in_flight > n, "one more")  # type: ignore[misc]
        await provider.wait_asked(8)
        served = [asked.json["user"] for asked in provider.asked]
    # The first had its place before anybody waited.
    assert served[1:5].count("few") == 2, served


@pytest.mark.measured
async def test_nobody_waits_longer_than_the_queue_lets_them() -> None:
    limits = "[limits]\nmax_concurrent = 1\nqueue_timeout = 0.3\n" + token("rpm = 60")
    async with (
        serving(begins, speaking) as provider,
        in_process(config(provider.port, tokens=limits)) as gateway,
    ):
        async with calling(gateway.port) as holder:
            await holder.ask(key=KEY, stream=True)
            assert await holder.head() == 200
            began = trio.current_time()
            reply = await ask(gateway.port, key=KEY)
            assert 0.3 <= trio.current_time() - began < 0.8
            assert (reply.status, reply.error["code"]) == (503, "queue_timeout")
            assert 1 <= int(reply.headers["retry-after"]) <= 5
            # Nothing was charged for it.
            assert reply.headers["x-ratelimit-remaining-requests"] == "59"
            # One who leaves the queue leaves nothing behind.
            async with calling(gateway.port) as waiting:
                await waiting.ask(key=KEY)
                await until(lambda: gateway.lifecycle.in_flight == 2, "one that waits")
            await until(lambda: gateway.lifecycle.in_flight == 1, "nobody who waits", 1)
        await gateway.settled()
        assert (await ask(gateway.port, key=KEY)).status == 200
        assert len(provider.asked) == 2


@pytest.mark.measured
async def test_providers_own_limit_sends_the_rest_elsewhere() -> None:
    async with (
        serving(begins, speaking) as first,
        serving(speaking) as second,
        in_process(
            config(*(first.port, second.port), tokens="[limits]\nqueue_timeout = 0.2\n").replace(
                'api_key = "sk-provider"', "max_concurrent = 1", 1
            )
        ) as gateway,
    ):
        async with calling(gateway.port) as holder:
            await holder.ask(stream=True)
            assert await holder.head() == 200
            began = trio.current_time()
            reply = await ask(gateway.port)
            assert 0.2 <= trio.current_time() - began < 0.7
            assert (reply.status, reply.headers["x-gateway-provider"]) == (200, "p1")
            assert reply.headers["x-gateway-attempts"] == "1"
        await gateway.settled()
        assert (await ask(gateway.port)).headers["x-gateway-provider"] == "p0"


async def test_refused_and_failed_requests_are_settled() -> None:
    text = token("rpm = 100\ntpm = 100000\nmax_concurrent = 3")
    async with (
        serving([(0.0, failure(500))]) as provider,
        in_process(config(provider.port, retry="max_attempts = 1", tokens=text)) as gateway,
    ):
        # Past the breaker's five failures, and with a model that is none.
        for _ in range(8):
            assert (await ask(gateway.port, key=KEY)).status in (502, 503)
        assert (await ask(gateway.port, key=KEY, model="none")).status == 404
        listed = await get(gateway.port, "/v1/models", key=KEY)
    # Nothing was generated: no tokens, though requests count.
    assert listed.headers["x-ratelimit-remaining-tokens"] == "100000"
    assert int(listed.headers["x-ratelimit-remaining-requests"]) >= 92
    reasons = [record.end_reason for record in gateway.records]
    assert reasons.count(EndReason.REJECTED) == 1
