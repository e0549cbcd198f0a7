"""What comes instead of a stream, and instead of a whole answer: the bytes decide."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from trio.testing import MockClock

from gateway.config.listener.server import Server

from ...scripts import (
    DONE,
    EOF,
    EVENTS,
    JSON,
    ROLE,
    STOP,
    TOTALS,
    USAGE,
    Head,
    ScriptedClient,
    Step,
    chunk,
    ok,
)
from ...world import World, body

HTML = (b"content-type", b"text/html; charset=utf-8")
NONE = (b"server", b"x")
KINDS = [JSON, HTML, EVENTS, NONE]
STREAM = ROLE + chunk("hi") + STOP + TOTALS + DONE
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 5,
    "model": "real",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "hi",
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": USAGE,
    "citations": ["https://example.com"],
}


def sends(kind: tuple[bytes, bytes], data: bytes, size: int = 9) -> list[Step]:
    pieces: list[Step] = [(0, data[at : at + size]) for at in range(0, len(data), size)]
    return [(0, Head(200, (kind,))), *pieces, (0, EOF)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [b"", b"\n\n", b"\xef\xbb\xbf", b": hi\n\n"])
@pytest.mark.parametrize("size", [1, 2, 5000])
async def test_events_are_a_stream_under_any_type(
    autojump_clock: MockClock, kind: tuple[bytes, bytes], before: bytes, size: int
) -> None:
    world = World([("a", sends(kind, before + STREAM, size))])
    record = await world.run()
    expected = (ROLE + chunk("hi") + STOP).replace(b'"real"', b'"m"') + DONE
    assert world.client.text.removeprefix(b": hi\n\n") == expected
    assert (record.end_reason, record.input_tokens) == ("complete", 100)


def events_of(text: bytes) -> list[dict[str, Any]]:
    blocks = text.removesuffix(b"\n\n").split(b"\n\n")
    assert blocks.pop() == b"data: [DONE]"
    return [msgspec.json.decode(block.removeprefix(b"data: ")) for block in blocks]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 5000])
@pytest.mark.parametrize("asks", [True, False])
async def test_a_whole_answer_becomes_a_stream(
    autojump_clock: MockClock, kind: tuple[bytes, bytes], size: int, asks: bool
) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if asks else {}
    client = ScriptedClient(body(**options))
    data = msgspec.json.format(msgspec.json.encode(ANSWER), indent=2)
    world = World([("a", sends(kind, data, size))], client=client)
    record = await world.run()
    first, *rest = events_of(client.text)
    assert client.headers[b"content-type"].startswith(b"text/event-stream")
    assert first == {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "delta": {
                    "role": "assistant",
                    "content": "hi",
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": "t1",
                            "type": "function",
                            "function": {"name": "f", "arguments": "{}"},
                        }
                    ],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "citations": ["https://example.com"],
    }
    shared = {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m"}
    assert rest == ([{**shared, "choices": [], "usage": USAGE}] if asks else [])
    assert (record.end_reason, record.output_tokens) == ("complete", 20)
    assert world.upstream.responses[0].kept


@pytest.mark.parametrize(
    "data", [b"<html>no</html>", b'"text"', b"[1]", b"{}", b'{"choices":[', b'{"hello":"no"}']
)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_neither_is_asked_for_once(
    autojump_clock: MockClock, data: bytes, kind: tuple[bytes, bytes]
) -> None:
    world = World([("a", sends(kind, data)), ("b", ok())])
    await world.run()
    assert world.causes == ["not_a_stream", "ok"]
    alone = World([("a", sends(kind, data))])
    await alone.run()
    assert alone.causes == ["not_a_stream"]


async def test_an_answer_that_is_too_large_is_no_stream(autojump_clock: MockClock) -> None:
    data = b'{"choices":[{"message":{"content":"%b"}}]}' % (b"a" * 5000)
    server = Server(max_response_bytes=2000)
    world = World([("a", sends(JSON, data, 500)), ("b", ok())], server=server)
    await world.run()
    assert world.causes == ["not_a_stream", "ok"]


# A stream instead of a whole answer...


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_is_put_together_to_one_answer(
    autojump_clock: MockClock, kind: tuple[bytes, bytes]
) -> None:
    world = World([("a", sends(kind, STREAM))], stream=False)
    record = await world.run()
    assert msgspec.json.decode(world.client.text) == {
        "id": "c1",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi"},
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }
    assert world.client.headers[b"content-type"] == b"application/json"
    assert (record.input_tokens, record.output_tokens) == (100, 20)
    assert record.cost_nano_usd == 300_000
    assert len(world.upstream.calls) == 1


@pytest.mark.parametrize(
    "data",
    [
        chunk("hi"),
        chunk("hi") + b"data: {torn\n\n" + STOP + DONE,
        b"data: [DONE]\n\n",
        b": nothing\n\n",
    ],
)
async def test_a_stream_that_gives_no_answer_is_asked_for_once(
    autojump_clock: MockClock, data: bytes
) -> None:
    world = World([("a", sends(EVENTS, data))], stream=False)
    await world.run()
    assert world.causes == ["unreadable"]
    assert world.client.status == 502
