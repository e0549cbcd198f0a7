"""Errors with status 200: the error's own code decides what happens."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from ...scripts import DONE, EOF, EVENTS, JSON, ROLE, Head, Step, answer, chunk, ok
from ...world import World

CONTEXT = b'{"error":{"code":400,"message":"the maximum context length is 8 tokens"}}'


def sends(data: bytes, *, stream: bool) -> list[Step]:
    if not stream:
        return [(0, Head(200, (JSON,))), (0, data), (0, EOF)]
    return [(0, Head(200, (EVENTS,))), (0, ROLE), (1, b"data: %b\n\n" % data), (0, EOF)]


def good(*, stream: bool) -> list[Step]:
    return ok() if stream else answer()


ERRORS: dict[str, tuple[bytes, str]] = {
    "context length": (CONTEXT, "context_length"),
    "without its code": (b'{"error":"your prompt is too long"}', "context_length"),
    "choices null": (b'{"choices":null,"error":{"code":"400","message":"no"}}', "rejected"),
    "choices empty": (b'{"choices":[],"error":{"code":422,"message":"no"}}', "rejected"),
    "its type": (b'{"error":{"type":"invalid_request_error","message":"no"}}', "rejected"),
    "the object itself": (b'{"object":"error","code":400,"message":"no"}', "rejected"),
    "in a choice": (
        b'{"choices":[{"finish_reason":"error","error":{"code":400,"message":"no"}}]}',
        "rejected",
    ),
}


@pytest.mark.parametrize(("data", "cause"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_is_one_attempt_and_its_status(
    autojump_clock: MockClock, data: bytes, cause: str, stream: bool
) -> None:
    world = World([("a", sends(data, stream=stream))], routes=["a", "b"], stream=stream)
    record = await world.run()
    assert world.causes == [cause]
    assert world.client.status in (400, 422)
    assert world.client.headers[b"content-type"] == b"application/json"
    assert world.client.error
    assert record.end_reason == "provider_rejected"
    assert world.health["a/real"].consecutive_failures == 0


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b'{"error":{"code":429,"message":"slow down"}}', "rate_limited"),
        (b'{"error":{"code":"rate_limit_exceeded"}}', "rate_limited"),
        (b'{"error":{"code":"insufficient_quota"}}', "auth_failed"),
        (b'{"error":{"code":401}}', "auth_failed"),
        (b'{"error":{"code":502,"message":"overloaded"}}', "stream_error"),
        (b'{"error":{"code":"server_error"}}', "stream_error"),
        (b'{"error":{"code":1234}}', "stream_error"),
        (b'{"error":{"code":true}}', "stream_error"),
        (b'{"error":{"message":"boom"}}', "stream_error"),
        (b'{"choices":[{"finish_reason":"error"}]}', "stream_error"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_another_provider_can_answer_goes_there(
    autojump_clock: MockClock, data: bytes, cause: str, stream: bool
) -> None:
    world = World([("a", sends(data, stream=stream)), ("b", good(stream=stream))], stream=stream)
    await world.run()
    assert world.causes == [cause, "ok"]
    assert world.client.status == 200


async def test_an_error_event_without_an_error_object(autojump_clock: MockClock) -> None:
    named = b'event: error\ndata: {"code":400,"message":"no"}\n\n'
    world = World([("a", [(0, Head()), (0, named), (0, EOF)])])
    await world.run()
    assert world.causes == ["rejected"]
    assert world.client.text == b'{"error":{"code":400,"message":"no"}}'
    later = World([("a", [(0, Head()), (0, chunk("hi")), (0, named), (0, EOF)])])
    record = await later.run()
    assert later.client.text.endswith(b'data: {"error":{"code":400,"message":"no"}}\n\n')
    assert DONE not in later.client.text
    assert record.end_reason == "upstream_broke"
