"""Anthropic's events as Amazon's frames, however they come in pieces."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from gateway.core.dialects.anthropic_messages.errors import error_event
from gateway.core.dialects.bedrock_invoke.messages import FramedMessages
from gateway.core.wire.binary.event_stream import FrameDecoder

EVENTS: Final[list[dict[str, Any]]] = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "h\u2028"}},
    {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]


def sse(events: list[dict[str, Any]]) -> bytes:
    return b"".join(
        f"event: {each['type']}\ndata: {json.dumps(each, ensure_ascii=False)}\n\n".encode()
        for each in events
    )


def said(data: bytes) -> list[tuple[str, Any]]:
    """Return the events and exceptions of frames."""
    found: list[tuple[str, Any]] = []
    for frame in FrameDecoder().feed(data):
        payload = json.loads(frame.payload)
        name = frame.headers.get(":event-type") or frame.headers[":exception-type"]
        if name == "chunk":
            payload = json.loads(base64.b64decode(payload["bytes"]))
        found.append((name, payload))
    return found


def test_any_pieces_are_the_same_frames() -> None:
    stream = sse(EVENTS)
    whole = FramedMessages().stream(stream)
    for size in range(1, len(stream)):
        framed = FramedMessages()
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert b"".join(framed.stream(each) for each in pieces) == whole
    found = said(whole)
    assert [name for name, _ in found] == ["chunk"] * len(EVENTS)
    counts = {"inputTokenCount": 7, "outputTokenCount": 5}
    assert [each for _, each in found] == [
        *EVENTS[:-1],
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": counts},
    ]


def test_errors_are_exceptions_that_clients_know() -> None:
    for code, name in (
        ("rate_limit_exceeded", "throttlingException"),
        ("overloaded", "serviceUnavailableException"),
        ("idle_timeout", "modelTimeoutException"),
        ("anything", "modelStreamErrorException"),
    ):
        found = said(FramedMessages().stream(error_event("why", code)))
        assert found == [(name, {"message": "why"})]


def test_what_is_of_another_form_goes_on() -> None:
    """An event that nobody knows is a chunk; what keeps a stream alive is passed over."""
    odd = sse([{"type": "message_start", "message": 3}, {"type": "new"}])
    assert [name for name, _ in said(FramedMessages().stream(odd))] == ["chunk", "chunk"]
    for comment in (b": hi\n\n", b'event: ping\ndata: {"type": "ping"}\n\n'):
        assert [name for name, _ in said(FramedMessages().stream(comment))] == ["ping"]


def test_whole_answers_and_refusals() -> None:
    framed = FramedMessages()
    body = json.dumps({"usage": {"input_tokens": 3, "output_tokens": 4}}).encode()
    headers, same = framed.answer(200, [(b"content-type", b"application/json")], body, None)
    assert same == body
    assert (b"x-amzn-bedrock-output-token-count", b"4") in headers
    refusal = json.dumps({"type": "error", "error": {"type": "x", "message": "no"}}).encode()
    headers, shown = framed.answer(404, [(b"content-type", b"text/html"), (b"a", b"b")], refusal, 1)
    assert json.loads(shown) == {"message": "no"}
    assert dict(headers) == {
        b"content-type": b"application/json",
        b"x-amzn-errortype": b"ResourceNotFoundException",
        b"a": b"b",
    }
