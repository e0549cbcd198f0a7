"""The answer of each API as it goes over the wire, for `bench translated`: so many equal pieces."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.core.dialects.bedrock_converse.frames import event_frame

# A usual answer's length; what a request costs by itself is a part of each event.
EVENTS: Final = 200
_PIECE: Final = " hello"
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"
_SSE: Final = b"text/event-stream"
_ENCODE: Final = msgspec.json.Encoder().encode


def streams() -> dict[str, bytes]:
    """Return the answer of each API, an HTTP chunk an event."""
    return {
        "chat": _wired(_SSE, [*_chat(), b"data: [DONE]\n\n"]),
        "messages": _wired(_SSE, [_named(each) for each in _messages()]),
        "responses": _wired(_SSE, [_named(each) for each in _responses()]),
        "gemini": _wired(_SSE, [b"data: %b\r\n\r\n" % _ENCODE(each) for each in _gemini()]),
        "converse": _wired(b"application/vnd.amazon.eventstream", _converse()),
        "cohere": _wired(_SSE, [_named(each) for each in _cohere()]),
        "ollama": _wired(b"application/x-ndjson", [_ENCODE(each) + b"\n" for each in _ollama()]),
    }


def _wired(kind: bytes, events: list[bytes]) -> bytes:
    chunks = b"".join([b"%x\r\n%b\r\n" % (len(each), each) for each in events])
    return _HEAD % kind + chunks + b"0\r\n\r\n"


def _named(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _ENCODE(event))


def _chat() -> list[bytes]:
    def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        found = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake", "choices": [choice], "usage": None}  # noqa: E501  # fmt: skip
        return b"data: " + _ENCODE(found | more) + b"\n\n"

    usage = {"prompt_tokens": 9, "completion_tokens": EVENTS, "total_tokens": 9 + EVENTS}
    return [
        chunk({"role": "assistant", "content": ""}),
        *[chunk({"content": " hello"})] * EVENTS,
        chunk({}, "stop"),
        chunk({}, choices=[], usage=usage),
    ]


def _messages() -> list[dict[str, Any]]:
    message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "fake", "content": [], "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1}}  # noqa: E501  # fmt: skip
    delta = {"type": "text_delta", "text": " hello"}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[{"type": "content_block_delta", "index": 0, "delta": delta}] * EVENTS,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": EVENTS}},  # noqa: E501
        {"type": "message_stop"},
    ]  # fmt: skip


def _responses() -> list[dict[str, Any]]:
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": "fake", "status": "in_progress", "output": [], "tools": [], "usage": None}  # noqa: E501  # fmt: skip
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}  # noqa: E501  # fmt: skip
    part = {"type": "output_text", "text": " hello" * EVENTS, "annotations": [], "logprobs": []}
    done = item | {"status": "completed", "content": [part]}
    usage = {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": EVENTS, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 9 + EVENTS}  # noqa: E501  # fmt: skip
    piece = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": " hello", "logprobs": []}  # noqa: E501  # fmt: skip
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        *[piece] * EVENTS,
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": response | {"status": "completed", "output": [done], "usage": usage}},  # noqa: E501
    ]  # fmt: skip
    return [each | {"sequence_number": number} for number, each in enumerate(events)]


def _gemini() -> list[dict[str, Any]]:
    def chunk(**more: Any) -> dict[str, Any]:
        content = {"parts": [{"text": _PIECE}], "role": "model"}
        counts = {"promptTokenCount": 9, "candidatesTokenCount": EVENTS, "totalTokenCount": 9 + EVENTS}  # noqa: E501  # fmt: skip
        candidate = {"content": content, "index": 0, **more}
        return {"candidates": [candidate], "usageMetadata": counts, "modelVersion": "fake", "responseId": "r"}  # noqa: E501  # fmt: skip

    return [*[chunk()] * (EVENTS - 1), chunk(finishReason="STOP")]


def _converse() -> list[bytes]:
    piece = {"contentBlockIndex": 0, "delta": {"text": _PIECE}}
    usage = {"inputTokens": 9, "outputTokens": EVENTS, "totalTokens": 9 + EVENTS}
    return [
        event_frame("messageStart", b'{"role":"assistant"}'),
        *[event_frame("contentBlockDelta", _ENCODE(piece))] * EVENTS,
        event_frame("contentBlockStop", b'{"contentBlockIndex":0}'),
        event_frame("messageStop", b'{"stopReason":"end_turn"}'),
        event_frame("metadata", _ENCODE({"usage": usage, "metrics": {"latencyMs": 1}})),
    ]


def _cohere() -> list[dict[str, Any]]:
    counts = {"input_tokens": 9, "output_tokens": EVENTS}
    usage = {"billed_units": counts, "tokens": counts, "cached_tokens": 0}
    begun = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    text = {"message": {"content": {"type": "text", "text": ""}}}
    piece = {"message": {"content": {"text": _PIECE}}}
    return [
        {"type": "message-start", "id": "a", "delta": {"message": begun}},
        {"type": "content-start", "index": 0, "delta": text},
        *[{"type": "content-delta", "index": 0, "delta": piece}] * EVENTS,
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}},
    ]


def _ollama() -> list[dict[str, Any]]:
    line = {"model": "fake", "created_at": "2025-01-01T00:00:00Z"}
    said = {"role": "assistant", "content": _PIECE}
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": EVENTS}
    silent = {"role": "assistant", "content": ""}
    return [
        *[{**line, "message": said, "done": False}] * EVENTS,
        {**line, "message": silent, **end},
    ]
