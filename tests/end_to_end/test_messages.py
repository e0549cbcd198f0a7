"""Anthropic's Messages over real connections, raw and with Anthropic's SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from gateway.core.records.record import EndReason
from tests.late import anthropic

from ..core.dialects.anthropic_messages.events import PING, STOP, end, event, start, text
from ..http_client import sdk_client
from .caller import Headers, Reply, calling
from .harness import InProcess, in_process
from .provider import Asked, serving
from .wire import LAST_CHUNK, RESET, STALL, Script, broken, framed, stream_head, streamed, whole

BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
}
VERSION = ("anthropic-version", "2023-06-01")
USAGE: dict[str, Any] = {
    "input_tokens": 10,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 30,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    "output_tokens": 5,
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "real-model",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": USAGE,
}
PRICES = (
    "input_price = 1, output_price = 2, cached_input_price = 0.1, "
    "cache_write_price = 1.25, cache_write_1h_price = 3"
)
# 10 new, 100 read, 10 written for five minutes and 20 for an hour, 5 of output.
COST = 10_000 + 10_000 + 12_500 + 60_000 + 10_000


def config(*ports: int, more: str = "", server: str = "", provider: str = "") -> str:
    providers = "\n".join(
        f'[providers.p{n}]\nkind = "anthropic"\nbase_url = "http://127.0.0.1:{port}"\n'
        f'api_key = "sk-provider"\n{provider}\n'
        for n, port in enumerate(ports)
    )
    routes = ", ".join(
        f'{{ provider = "p{n}", model = "real-model", {PRICES} }}' for n in range(len(ports))
    )
    return (
        f'[server]\nbind = "127.0.0.1:0"\n{server}\n[retry]\nbase = 0.01\ncap = 0.02\n'
        f'[overload]\nlag = 0\n[store]\nurl = ""\n{providers}\n'
        f'[[models]]\nname = "m"\nroutes = [{routes}]\n{more}'
    )


async def post(
    gateway: InProcess,
    path: str = "/v1/messages",
    headers: Headers = (VERSION,),
    key: str | None = None,
    **more: Any,
) -> Reply:
    async with calling(gateway.port) as caller:
        body = json.dumps(BODY | more).encode()
        await caller.post(body, target=path, headers=headers, key=key)
        return await caller.reply()


def stream(*pieces: str) -> list[bytes]:
    return [start("real-model", **(USAGE | {"output_tokens": 1})), PING, text(*pieces), end(), STOP]


def mine(data: bytes) -> bytes:
    return data.replace(b"real-model", b"m")


async def test_a_whole_answer_arrives_byte_for_byte() -> None:
    sent = json.dumps(MESSAGE | {"odd": "caf\u00e9"}, indent=1).encode()
    theirs = ("request-id: req_theirs", "anthropic-ratelimit-requests-limit: 5")
    script = [(0.0, whole(200, sent, *theirs))]
    betas = ("anthropic-beta", "one-2025-01-01,two-2026-01-01")
    async with serving(script) as provider, in_process(config(provider.port)) as gateway:
        reply = await post(gateway, "/v1/messages?beta=true", (VERSION, betas, ("x-api-key", "k")))
        record = await gateway.record()
        asked = await provider.wait_asked(1)
    assert (reply.status, reply.complete, reply.body) == (200, True, mine(sent))
    assert reply.headers["request-id"] == reply.headers["x-request-id"] == record.request_id
    assert reply.headers["x-provider-request-id"] == "req_theirs"
    assert reply.headers["anthropic-ratelimit-requests-limit"] == "5"
    assert asked.target == "/v1/messages"
    assert asked.headers["x-api-key"] == "sk-provider"
    assert "authorization" not in asked.headers
    assert asked.headers["anthropic-version"] == VERSION[1]
    assert asked.headers["anthropic-beta"] == betas[1]
    assert asked.body == json.dumps(BODY | {"model": "real-model"}).encode()
    assert record.end_reason is EndReason.COMPLETE
    assert (record.input_tokens, record.output_tokens, record.cached_tokens) == (140, 5, 100)
    assert record.cache_write_tokens == 30
    assert record.cost_nano_usd == COST


async def test_a_stream_arrives_byte_for_byte() -> None:
    events = stream("Hel", "lo", " Z\u00fcrich")
    async with serving(streamed(events)) as provider, in_process(config(provider.port)) as gateway:
        reply = await post(gateway, headers=(), stream=True)
        record = await gateway.record()
        asked = await provider.wait_asked(1)
        await gateway.settled()
    assert reply.complete
    assert reply.body == mine(b"".join(events))
    assert reply.headers["content-type"].startswith("text/event-stream")
    # What the SDKs send stands where a caller sends none.
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in asked.headers
    assert record.end_reason is EndReason.COMPLETE
    assert record.cost_nano_usd == COST
    assert record.events == len(b"".join(events).split(b"\n\n")) - 2


@pytest.mark.parametrize("deed", ["reset", "no message_stop", "error event"])
async def test_a_stream_that_breaks_ends_in_an_error_event(deed: str) -> None:
    events = stream("Hel")[:3]
    script: Script = broken(events, RESET)
    if deed == "no message_stop":
        script = [
            (0.0, stream_head()),
            *((0.0, framed(each)) for each in events),
            (0.0, LAST_CHUNK),
        ]
    elif deed == "error event":
        told = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
        script = streamed([*events, told])
    async with serving(script) as provider, in_process(config(provider.port)) as gateway:
        reply = await post(gateway, stream=True)
        record = await gateway.record()
        await gateway.settled()
    assert not reply.complete
    assert reply.body.startswith(mine(b"".join(events)))
    last = reply.events[-1].decode().split("\n")
    assert last[0] == "event: error"
    error = json.loads(last[1].removeprefix("data: "))
    assert error["type"] == "error"
    if deed == "error event":
        assert error["error"] == {"type": "overloaded_error", "message": "Overloaded"}
    assert b"message_stop" not in reply.body
    assert record.end_reason is EndReason.UPSTREAM_BROKE


async def test_a_refusal_is_shown_as_it_came() -> None:
    body = b'{"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}, "request_id": "req_x"}'  # noqa: E501
    script = [(0.0, whole(400, body))]
    async with serving(script) as provider, in_process(config(provider.port)) as gateway:
        reply = await post(gateway)
        record = await gateway.record()
    assert (reply.status, reply.body) == (400, body)
    assert record.attempts[0].cause == "context_length"


async def test_overload_goes_to_the_next_provider() -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    overloaded = [(0.0, whole(529, body))]
    begins_so = streamed([event("error", error=body["error"])])
    for refusal in (overloaded, begins_so):
        async with (
            serving(refusal) as one,
            serving(streamed(stream("Hi"))) as two,
            in_process(config(one.port, two.port)) as gateway,
        ):
            reply = await post(gateway, stream=True)
            record = await gateway.record()
        assert reply.body == mine(b"".join(stream("Hi")))
        assert [row.cause for row in record.attempts][-1] is None
        assert record.provider == "p1"


@pytest.mark.parametrize(
    ("path", "body", "key", "status", "kind"),
    [
        ("/v1/messages", {"model": "nope"}, "sk-good-key", 404, "not_found_error"),
        ("/v1/messages", {"stream": 3}, "sk-good-key", 400, "invalid_request_error"),
        ("/v1/messages", {}, "sk-wrong-key", 401, "authentication_error"),
        ("/v1/messages/drafts", {}, "sk-good-key", 404, "not_found_error"),
        ("/v1/nothing", {}, "sk-good-key", 404, "not_found_error"),
        ("/v1/messages/count_tokens", {"model": "nope"}, "sk-good-key", 404, "not_found_error"),
    ],
)
async def test_errors_of_the_gateway(
    path: str, body: dict[str, Any], key: str, status: int, kind: str
) -> None:
    tokens = '[[tokens]]\nname = "t"\nkey = "sk-good-key"\n'
    async with in_process(config(1, more=tokens)) as gateway:
        reply = await post(gateway, path, (VERSION, ("x-api-key", key)), **body)
    assert reply.status == status
    found = reply.json
    assert (found["type"], found["error"]["type"]) == ("error", kind)
    assert found["request_id"] == reply.headers["request-id"]


async def test_a_silent_provider_is_filled_with_pings() -> None:
    events = stream("Hel", "lo")
    script = [(0.0, stream_head()), (0.0, framed(b"".join(events[:2]))), (0.6, framed(events[2]))]
    script += [(0.6, framed(events[3])), (0.0, framed(events[4])), (0.0, LAST_CHUNK)]
    async with serving(script) as provider:
        server = "keep_alive_comment = 0.2"
        async with in_process(config(provider.port, server=server)) as gateway:
            reply = await post(gateway, stream=True)
    assert reply.complete
    # Before the first content there is nothing to keep alive but by what the provider sends.
    assert reply.body.count(b"event: ping") >= 2
    assert reply.body.count(b"event: message_start") == 1
    assert reply.body.replace(PING, b"") == mine(b"".join(events)).replace(PING, b"")


async def test_what_comes_before_the_commit_opens_the_stream_once() -> None:
    def starts_and_breaks(asked: Asked) -> Script:
        return [
            (0.0, stream_head()),
            (0.4, framed(start("real-model") + PING)),
            (0.2, framed(PING)),
            (0.2, RESET),
        ]

    async with serving(starts_and_breaks) as one, serving(streamed(stream("Hi"))) as two:
        server = "keep_alive_comment = 0.1"
        async with in_process(config(one.port, two.port, server=server)) as gateway:
            reply = await post(gateway, stream=True)
    assert reply.complete
    assert reply.body.startswith(PING)
    assert reply.body.count(b"event: message_start") == 1
    assert reply.body.replace(PING, b"") == mine(b"".join(stream("Hi"))).replace(PING, b"")


async def test_tokens_are_counted_by_the_provider_or_estimated() -> None:
    def count(asked: Asked) -> Script:
        assert asked.target == "/v1/messages/count_tokens"
        assert asked.headers["anthropic-beta"] == "b"
        if asked.json["messages"][0]["content"] == "Hi":
            return [(0.0, whole(200, b'{"input_tokens": 8, "odd": 1}'))]
        return [(0.0, whole(404, {"type": "error"}))]

    headers = (VERSION, ("anthropic-beta", "b"))
    path = "/v1/messages/count_tokens?beta=true"
    async with serving(count) as provider, in_process(config(provider.port)) as gateway:
        counted = await post(gateway, path, headers)
        guessed = await post(
            gateway, path, headers, messages=[{"role": "user", "content": "x" * 400}]
        )
        record = await gateway.record()
    assert (counted.status, counted.body) == (200, b'{"input_tokens": 8, "odd": 1}')
    assert "x-gateway-estimate" not in counted.headers
    assert guessed.status == 200
    assert 100 < guessed.json["input_tokens"] < 150
    assert guessed.headers["x-gateway-estimate"] == "true"
    assert (record.operation, record.cost_nano_usd, record.status) == ("count_tokens", 0, 200)


async def test_models_and_hello() -> None:
    async with in_process(config(1)) as gateway, calling(gateway.port) as caller:
        found = (await caller.get("/v1/models?limit=1000", headers=[VERSION])).json
        one = (await caller.get("/v1/models/m", headers=[("x-api-key", "k")])).json
        plain = (await caller.get("/v1/models")).json
        hello = await caller.get("/api/hello")
    assert [each["id"] for each in found["data"]] == ["m"]
    assert (found["has_more"], one["display_name"]) == (False, "m")
    assert plain["object"] == "list"
    assert hello.status == 200


async def test_equal_requests_are_answered_from_the_cache() -> None:
    events = stream("Hel", "lo")
    ttl = ("x-gateway-cache", "ttl=60")
    async with serving(streamed(events)) as provider, in_process(config(provider.port)) as gateway:
        first = await post(gateway, headers=(VERSION, ttl), stream=True)
        again = await post(gateway, headers=(VERSION, ttl), stream=True)
        # Another beta may bring another answer.
        await post(gateway, headers=(VERSION, ttl, ("anthropic-beta", "x")), stream=True)
        assert len(provider.asked) == 2
    assert again.headers["x-gateway-cache"] == "hit"
    assert again.body == first.body


def client_of(gateway: InProcess, **more: Any) -> anthropic.Anthropic:
    url = f"http://127.0.0.1:{gateway.port}"
    return anthropic.Anthropic(
        base_url=url, http_client=sdk_client(anthropic), api_key="sk-any", max_retries=0, **more
    )


async def in_thread(work: Any) -> Any:
    return await trio.to_thread.run_sync(work)


@pytest.mark.slow
async def test_the_sdk_whole_and_streamed() -> None:
    def answer(asked: Asked) -> Script:
        if asked.json.get("stream"):
            return streamed(stream("Hel", "lo."))
        return [(0.0, whole(200, MESSAGE))]

    def talk(client: anthropic.Anthropic) -> tuple[Any, Any]:
        with client:
            plain = client.messages.create(**BODY)
            with client.messages.stream(**BODY) as opened:
                words = "".join(opened.text_stream)
                final = opened.get_final_message()
            assert words == "Hello."
            assert [model.id for model in client.models.list(limit=20)] == ["m"]
            return plain, final

    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:
        client = client_of(gateway)
        plain, final = await in_thread(lambda: talk(client))
        await gateway.settled()
    for message in (plain, final):
        assert (message.model, message.stop_reason) == ("m", "end_turn")
        assert message.content[0].text == "Hello."
        assert message.usage.cache_read_input_tokens == 100
        assert message.usage.output_tokens == 5


@pytest.mark.slow
async def test_the_sdk_raises_what_it_should() -> None:
    def answer(asked: Asked) -> Script:
        return broken(stream("Hel")[:3], RESET)

    def talk(client: anthropic.Anthropic) -> tuple[Exception, Exception]:
        with client:
            with pytest.raises(anthropic.NotFoundError) as unknown:
                client.messages.create(**(BODY | {"model": "nope"}))
            with (
                pytest.raises(anthropic.APIStatusError) as cut,
                client.messages.stream(**BODY) as opened,
            ):
                opened.until_done()
            return unknown.value, cut.value

    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:
        client = client_of(gateway)
        unknown, cut = await in_thread(lambda: talk(client))
        await gateway.settled()
    assert "nope" in str(unknown)
    assert unknown.request_id
    assert "api_error" in str(cut.body)


async def test_a_caller_that_leaves_leaves_nothing() -> None:
    said = framed(b"".join(stream("Hel")[:3]))
    script: Script = [(0.0, stream_head()), (0.0, said), (0.0, STALL)]
    async with serving(script) as provider, in_process(config(provider.port)) as gateway:
        async with calling(gateway.port) as caller:
            body = json.dumps(BODY | {"stream": True}).encode()
            await caller.post(body, target="/v1/messages")
            await caller.head()
            await caller.until(b"Hel")
        record = await gateway.record()
        await gateway.settled()
        await provider.wait_open(0)
    assert record.end_reason is EndReason.CLIENT_GONE
