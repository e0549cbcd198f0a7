"""Answers over real connections: whole and streamed, from the first provider or the next."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.records.record import EndReason

from .caller import Reply, ask, calling
from .harness import InProcess, config, in_process
from .provider import Asked, serving, speaking
from .wire import (
    DONE,
    EOF,
    LAST_CHUNK,
    RESET,
    Deed,
    Script,
    broken,
    completion,
    event,
    failure,
    framed,
    stream_head,
    streamed,
    usage_event,
    whole,
    words,
)


def renamed(data: bytes) -> bytes:
    return data.replace(b'"real-model"', b'"m"')


async def test_whole_answer_arrives_byte_for_byte() -> None:
    sent = json.dumps(
        completion("caf\u00e9 \U0001f600", citations=[{"url": "x"}]), indent=1
    ).encode()
    script = [(0.0, whole(200, sent, "x-request-id: req-theirs", "set-cookie: a=b"))]
    async with serving(script) as provider, in_process(config(provider.port)) as gateway:
        reply = await ask(gateway.port)
        record = await gateway.record()
    assert reply.status == 200
    assert reply.complete
    assert reply.body == renamed(sent)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-gateway-provider"] == "p0"
    assert reply.headers["x-gateway-attempts"] == "1"
    assert reply.headers["x-provider-request-id"] == "req-theirs"
    assert reply.headers["x-request-id"] == record.request_id
    assert "set-cookie" not in reply.headers
    assert record.end_reason is EndReason.COMPLETE
    assert (record.input_tokens, record.output_tokens) == (19, 10)
    assert record.cost_nano_usd == 19 * 1000 + 10 * 2000
    asked = provider.asked[0]
    assert (asked.method, asked.target) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == "Bearer sk-provider"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.json["model"] == "real-model"


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "until-close"])
@pytest.mark.parametrize("asks", [True, False], ids=["usage", "no-usage"])
async def test_stream_arrives_as_it_was_but_for_model_and_usage(chunked: bool, asks: bool) -> None:
    events = words("Hello", " there", ".")
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if asks else {}
    async with (
        serving(streamed(events, pace=0.002, chunked=chunked)) as provider,
        in_process(config(provider.port)) as gateway,
    ):
        reply = await ask(gateway.port, stream=True, **options)
        record = await gateway.record()
        assert provider.asked[0].wants_usage
    expected = [each for each in events if asks or each != usage_event()]
    assert reply.complete
    assert reply.body == renamed(b"".join(expected))
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "content-length" not in reply.headers
    assert record.end_reason is EndReason.COMPLETE
    assert (record.input_tokens, record.output_tokens) == (19, 10)
    assert record.first_event_ms is not None


Fault = Callable[[Asked], Script]

# What a first provider may do before it has said anything, and how that is written down.
FAULTS: dict[str, tuple[Script, str]] = {
    "reset": ([(0.0, RESET)], "connection_lost"),
    "closed": ([(0.0, EOF)], "connection_lost"),
    "500": ([(0.0, failure(500))], "server_error"),
    "429": ([(0.0, failure(429))], "rate_limited"),
    "401": ([(0.0, failure(401))], "auth_failed"),
    "not-http": ([(0.0, b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), (0.0, EOF)], "protocol_violation"),
}
STREAM_FAULTS: dict[str, tuple[Script, str]] = {
    "error-event": (
        streamed([b'data: {"error":{"message":"overloaded","code":503}}\n\n']),
        "stream_error",
    ),
    "role-then-error": (
        streamed([event({"role": "assistant"}), b'data: {"error":{"message":"x"}}\n\n']),
        "stream_error",
    ),
    "role-then-eof": (broken([event({"role": "assistant"})], EOF), "connection_lost"),
    "role-then-reset": (broken([event({"role": "assistant"})], RESET), "connection_lost"),
    "empty": (streamed([]), "empty_stream"),
    "only-done": (streamed([DONE]), "empty_stream"),
    "json-error": ([(0.0, whole(200, {"error": {"message": "no"}}))], "stream_error"),
}
WHOLE_FAULTS: dict[str, tuple[Script, str]] = {
    "cut-body": ([(0.0, whole(200, completion())[:-20]), (0.0, EOF)], "connection_lost"),
    "not-json": ([(0.0, whole(200, b"<html>"))], "protocol_violation"),
    "error-with-200": ([(0.0, whole(200, {"error": {"message": "no"}}))], "stream_error"),
}


async def fall_back(script: Script, cause: str, *, stream: bool) -> None:
    once = [script, script, script]
    async with (
        serving(*once) as first,
        serving(speaking) as second,
        in_process(config(first.port, second.port)) as gateway,
    ):
        reply = await ask(gateway.port, stream=stream)
        record = await gateway.record()
        await gateway.settled()
    assert reply.status == 200
    assert reply.complete
    assert b"Hello" in reply.body
    assert reply.headers["x-gateway-provider"] == "p1"
    assert reply.headers["x-gateway-attempts"] == "2"
    assert [each.cause for each in record.attempts] == [cause, None]
    assert record.end_reason is EndReason.COMPLETE
    assert record.provider == "p1"


@pytest.mark.parametrize("name", [*FAULTS, *STREAM_FAULTS])
async def test_stream_falls_back(name: str) -> None:
    script, cause = {**FAULTS, **STREAM_FAULTS}[name]
    await fall_back(script, cause, stream=True)


@pytest.mark.parametrize("name", [*FAULTS, *WHOLE_FAULTS])
async def test_whole_answer_falls_back(name: str) -> None:
    script, cause = {**FAULTS, **WHOLE_FAULTS}[name]
    await fall_back(script, cause, stream=False)


async def test_refused_connection_falls_back(refused_port: int) -> None:
    async with (
        serving(speaking) as second,
        in_process(config(refused_port, second.port)) as gateway,
    ):
        reply = await ask(gateway.port, stream=True)
        record = await gateway.record()
    assert reply.complete
    assert [each.cause for each in record.attempts] == ["connect_failed", None]


async def test_silent_provider_falls_back() -> None:
    silent: Script = [(0.0, stream_head()), (60.0, EOF)]
    async with serving(silent) as first, serving(speaking) as second:
        text = config(
            first.port, second.port, timeouts="first_event = 0.3", retry="min_attempt_time = 1"
        )
        async with in_process(text) as gateway:
            reply = await ask(gateway.port, stream=True)
            record = await gateway.record()
            await first.wait_open(0)
    assert reply.complete
    assert [each.cause for each in record.attempts] == ["first_event_timeout", None]


async def test_all_fail_and_the_caller_is_told_of_each(refused_port: int) -> None:
    async with (
        serving([(0.0, failure(500, "boom"))]) as first,
        in_process(config(first.port, refused_port)) as gateway,
    ):
        reply = await ask(gateway.port, stream=True)
        record = await gateway.record()
    assert reply.status == 502
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-should-retry"] == "false"
    assert reply.error["code"] == "all_providers_failed"
    assert "p0/real-model: server_error (500 boom)" in reply.error["message"]
    assert "p1/real-model: connect_failed" in reply.error["message"]
    assert "sk-provider" not in reply.error["message"]
    assert record.end_reason is EndReason.PROVIDERS_FAILED
    assert len(record.attempts) == 3


async def test_refusal_of_the_request_is_relayed_as_it_was() -> None:
    body = b'{ "error" : {"message":"max_tokens is too large","type":"invalid_request_error"} }'
    async with (
        serving([(0.0, whole(400, body))]) as first,
        serving(speaking) as second,
        in_process(config(first.port, second.port)) as gateway,
    ):
        reply = await ask(gateway.port, stream=True)
        record = await gateway.record()
        assert second.asked == []
    assert (reply.status, reply.body) == (400, body)
    assert record.end_reason is EndReason.PROVIDER_REJECTED


async def broken_stream(gateway: InProcess, **body: Any) -> tuple[Reply, bytes]:
    """Return a stream's reply and its last event."""
    reply = await ask(gateway.port, stream=True, **body)
    return reply, reply.events[-1]


@pytest.mark.parametrize("deed", [RESET, EOF], ids=["reset", "eof"])
async def test_stream_that_breaks_is_never_ended_as_if_it_were_whole(deed: Deed) -> None:
    said = [event({"role": "assistant", "content": "Hel"}), event({"content": "lo"})]
    script = broken(said, deed)
    async with (
        serving(script) as first,
        serving(speaking) as second,
        in_process(config(first.port, second.port)) as gateway,
    ):
        reply, last = await broken_stream(gateway)
        record = await gateway.record()
        await gateway.settled()
        assert second.asked == []
    assert reply.status == 200
    assert not reply.complete
    assert reply.body.startswith(renamed(b"".join(said)))
    assert b"[DONE]" not in reply.body
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert error["code"] == "upstream_broke"
    assert record.end_reason is EndReason.UPSTREAM_BROKE
    assert record.status == 200


async def test_stream_without_done_but_finished_is_completed() -> None:
    events = [event({"content": "Hi"}), event({}, "stop")]
    async with (
        serving(streamed(events)) as provider,
        in_process(config(provider.port)) as gateway,
    ):
        reply = await ask(gateway.port, stream=True)
    assert reply.complete
    assert reply.body == renamed(b"".join(events)) + DONE


async def test_stream_that_falls_silent_gets_an_error_event() -> None:
    script: Script = [(0.0, stream_head()), (0.0, framed(event({"content": "a"}))), (60.0, EOF)]
    async with (
        serving(script) as provider,
        in_process(config(provider.port, timeouts="idle = 0.3")) as gateway,
    ):
        reply, last = await broken_stream(gateway)
        record = await gateway.record()
        await provider.wait_open(0)
    assert not reply.complete
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "idle_timeout"
    assert record.end_reason is EndReason.IDLE_TIMEOUT


async def test_events_that_mean_nothing_are_left_out_and_counted() -> None:
    good = [event({"content": "a"}), event({"content": "b"}), event({}, "stop")]
    bad = [b"data: ping\n\n", b"data: so it goes\n\n", b'data: {"behind": [the end\n\n']
    mixed = [good[0], bad[0], good[1], bad[1], good[2], bad[2], DONE]
    async with (
        serving(streamed(mixed)) as provider,
        in_process(config(provider.port)) as gateway,
    ):
        reply = await ask(gateway.port, stream=True)
        record = await gateway.record()
    assert reply.complete
    assert reply.body == renamed(b"".join(good)) + DONE
    assert record.malformed_events == 3
    assert record.events == 3


@pytest.mark.parametrize("bad", [b'data: {"choices": [\n\n', b"data: \xff\xfe\n\n"])
async def test_an_event_that_cannot_be_read_ends_the_stream(bad: bytes) -> None:
    events = [event({"content": "a"}), bad, event({"content": "b"}), event({}, "stop"), DONE]
    async with (
        serving(streamed(events)) as provider,
        in_process(config(provider.port)) as gateway,
    ):
        reply, last = await broken_stream(gateway)
        record = await gateway.record()
    assert not reply.complete
    assert b"cannot be read" in last
    assert (record.end_reason, record.malformed_events) == (EndReason.UPSTREAM_BROKE, 1)


async def test_huge_event_passes_whole() -> None:
    image = "A" * 5_000_000
    events = [event({"content": image}), event({}, "stop"), DONE]
    async with (
        serving(streamed(events)) as provider,
        in_process(config(provider.port)) as gateway,
    ):
        reply = await ask(gateway.port, stream=True)
    assert reply.complete
    assert reply.body == renamed(b"".join(events))


async def test_event_beyond_the_bound_breaks_the_stream() -> None:
    events = [event({"content": "small"}), event({"content": "A" * 200_000}), DONE]
    async with (
        serving(streamed(events)) as provider,
        in_process(config(provider.port, server="max_event_bytes = 100_000")) as gateway,
    ):
        reply, last = await broken_stream(gateway)
        await gateway.settled()
    assert not reply.complete
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_broke"


async def test_silence_is_filled_with_comments() -> None:
    events = [event({"content": "a"}), event({"content": "b"}), event({}, "stop"), DONE]
    script: Script = [
        (0.0, stream_head()),
        (0.0, framed(events[0])),
        (0.6, framed(events[1])),
        (0.0, framed(b"".join(events[2:]))),
        (0.0, LAST_CHUNK),
    ]
    async with (
        serving(script) as provider,
        in_process(config(provider.port, server="keep_alive_comment = 0.1")) as gateway,
    ):
        reply = await ask(gateway.port, stream=True)
    assert reply.complete
    comments = [each for each in reply.events if each == b": keep-alive"]
    assert 1 <= len(comments) <= 6
    assert reply.body.replace(b": keep-alive\n\n", b"") == renamed(b"".join(events))


async def test_connections_are_used_again_on_both_sides() -> None:
    async with serving(speaking) as provider, in_process(config(provider.port)) as gateway:
        async with calling(gateway.port) as caller:
            for number in range(6):
                await caller.ask(stream=number % 2 == 0)
                reply = await caller.reply()
                assert reply.complete
                assert reply.status == 200
        assert len(gateway.connections.members) <= 1
        assert [asked.connection for asked in provider.asked] == [1] * 6
        assert gateway.in_use == 0


async def test_idle_connection_that_the_provider_closed_costs_no_error() -> None:
    once: Script = [(0.0, whole(200, completion())), (0.0, EOF)]
    async with serving(once) as provider, in_process(config(provider.port)) as gateway:
        for _ in range(5):
            reply = await ask(gateway.port)
            assert reply.status == 200
        await gateway.record(5)
        assert [len(record.attempts) for record in gateway.records] == [1] * 5


async def test_event_reaches_the_caller_before_the_next_is_made() -> None:
    script: Script = [(0.0, stream_head()), (0.0, framed(event({"content": "first"}))), (60.0, EOF)]
    async with (
        serving(script) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.ask(stream=True)
        assert await caller.head() == 200
        await caller.until(b"first")
        assert not provider.asked[0].played.is_set()


async def test_provider_gets_the_request_byte_for_byte_but_for_model_and_usage() -> None:
    text = "x" * 3_000_000 + "\\u00e9 caf\u00e9 \\/"
    body = (
        '{ "messages" :[ {"role":"user","content":"%s"} ],\n "temperature": 1.0e0 , '
        '"model":%s, "stream": true, "x_unknown": {"model": "m"}, '
        '"stream_options": { "chunk_size": 3 }}'
    )
    async with (
        serving(speaking) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.post((body % (text, '"m"')).encode())
        assert (await caller.reply()).complete
        got = provider.asked[0].body.decode()
    expected = body % (text, '"real-model"')
    # The new member stands behind the last value; what was white space stays where it was.
    assert got == expected.replace('"chunk_size": 3 }', '"chunk_size": 3,"include_usage":true }')


async def test_a_finished_stream_that_falls_silent_is_complete() -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
    said = event({"content": "a"}) + event({}, "stop")
    script: Script = [(0.0, stream_head()), (0.0, framed(said + usage)), (60.0, EOF)]
    async with serving(script) as provider, in_process(config(provider.port)) as gateway:
        reply = await ask(gateway.port, stream=True)
        record = await gateway.record()
        await provider.wait_open(0)
    assert reply.complete
    assert reply.body == renamed(said) + DONE
    assert (record.end_reason, record.output_tokens) == (EndReason.COMPLETE, 3)


async def test_a_compressed_refusal_is_relayed_plain() -> None:
    error = b'{"error":{"message":"too long","code":"context_length_exceeded"}}'
    packed = gzip.compress(error)
    head = (
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
        b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    )
    script: Script = [(0.0, head + packed)]
    async with serving(script) as provider, in_process(config(provider.port)) as gateway:
        reply = await ask(gateway.port, stream=True)
        record = await gateway.record()
    assert (reply.status, reply.body) == (400, error)
    assert record.attempts[0].cause == "context_length"
    assert len(provider.asked) == 1
