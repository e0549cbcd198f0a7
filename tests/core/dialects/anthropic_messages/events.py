"""Streams of Messages for tests, as Anthropic sends them."""

from __future__ import annotations

import json
from typing import Any


def event(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def start(model: str = "claude-x", **usage: Any) -> bytes:
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 1} | usage,
    }
    return event("message_start", message=message)


def text(*pieces: str, index: int = 0) -> bytes:
    block = {"type": "text", "text": ""}
    deltas = [
        event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
        for piece in pieces
    ]
    return b"".join(
        [
            event("content_block_start", index=index, content_block=block),
            *deltas,
            event("content_block_stop", index=index),
        ]
    )


def end(reason: str = "end_turn", **usage: Any) -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return event("message_delta", delta=delta, usage={"output_tokens": 5} | usage)


STOP = event("message_stop")
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def whole(*pieces: str) -> bytes:
    """Return a whole stream that says `pieces`."""
    return start() + PING + text(*pieces) + end() + STOP
