"""What a scripted provider plays: answers as they stand on the wire, and accidents."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final


class Deed(enum.Enum):
    EOF = "close the connection in order"
    RESET = "reset the connection"
    STALL = "say nothing more until the peer leaves"


EOF: Final = Deed.EOF
RESET: Final = Deed.RESET
STALL: Final = Deed.STALL

Step = tuple[float, bytes | Deed]
Script = Sequence[Step]

LAST_CHUNK: Final = b"0\r\n\r\n"
DONE: Final = b"data: [DONE]\n\n"


def whole(
    status: int, body: bytes | dict[str, Any], *headers: str, kind: str = "application/json"
) -> bytes:
    """Return an answer with a length."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"content-type: {kind}", *headers]
    lines.append(f"content-length: {len(data)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + data


def completion(content: str = "Hello there.", **more: Any) -> dict[str, Any]:
    """Return a chat completion as OpenAI writes it."""
    return {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "real-model",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": content,
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 19,
            "completion_tokens": 10,
            "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_06737a9306",
        **more,
    }


def failure(status: int, message: str = "no luck", *headers: str, code: str = "oops") -> bytes:
    """Return an error answer in OpenAI's shape."""
    error = {"message": message, "type": "some_error", "param": None, "code": code}
    return whole(status, {"error": error}, *headers)


def stream_head(*headers: str, chunked: bool = True) -> bytes:
    """Return the head of a stream; without chunks it lasts as long as the connection."""
    framing = "transfer-encoding: chunked" if chunked else "connection: close"
    kind = "content-type: text/event-stream; charset=utf-8"
    return "\r\n".join(["HTTP/1.1 200 OK", kind, framing, *headers, "", ""]).encode("latin-1")


def framed(data: bytes) -> bytes:
    """Return `data` as one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(
    delta: dict[str, Any] | None = None, finish_reason: str | None = None, **more: Any
) -> bytes:
    """Return one chunk of a completion as an SSE event; `more` are further top-level members."""
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish_reason}
    chunk = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion.chunk",
        "created": 1741569952,
        "model": "real-model",
        "choices": [choice],
        **more,
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def usage_event(prompt: int = 19, completion: int = 10) -> bytes:
    """Return the event that holds usage only."""
    counts = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    return event(choices=[], usage=counts)


def words(*texts: str, usage: bool = True) -> list[bytes]:
    """Return the events of a whole stream that says `texts`."""
    return [
        event({"role": "assistant", "content": ""}),
        *(event({"content": text}) for text in texts),
        event({}, "stop"),
        *([usage_event()] if usage else []),
        DONE,
    ]


def streamed(events: Iterable[bytes], *, pace: float = 0.0, chunked: bool = True) -> Script:
    """Return the script of a stream in good order, each event `pace` seconds after the last."""
    steps: list[Step] = [(0.0, stream_head(chunked=chunked))]
    steps += [(pace, framed(each) if chunked else each) for each in events]
    steps.append((0.0, LAST_CHUNK if chunked else EOF))
    return steps


def broken(events: Iterable[bytes], deed: Deed, *, pace: float = 0.0) -> Script:
    """Return the script of a stream that ends in an accident after `events`."""
    return [
        (0.0, stream_head()),
        *((pace, framed(each)) for each in events),
        # Time for what was sent to be read: a reset throws away what has not been.
        (0.05, deed),
    ]
