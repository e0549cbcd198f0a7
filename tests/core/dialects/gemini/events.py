"""Streams of generateContent for tests, as Google sends them."""

from __future__ import annotations

import json
from typing import Any

Part = dict[str, Any]
USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}


def chunk(*parts: Part, reason: str | None = None, index: int = 0, **members: Any) -> Part:
    candidate: Part = {"content": {"parts": [*parts], "role": "model"}}
    if reason is not None:
        candidate["finishReason"] = reason
    candidate["index"] = index
    about = {"modelVersion": "gemini-x", "responseId": "r-1"}
    return {"candidates": [candidate], "usageMetadata": USAGE, **about, **members}


def text(piece: str, **members: Any) -> Part:
    return {"text": piece, **members}


def call(name: str, **members: Any) -> Part:
    return {"functionCall": {"name": name, **members}}


def stream(*chunks: Part) -> bytes:
    """Return the stream, in the bytes that Google has around its events."""
    return b"".join([b"data: %b\r\n\r\n" % dumped(each) for each in chunks])


def dumped(found: Any) -> bytes:
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode()


def whole(*pieces: str) -> bytes:
    return stream(*(chunk(text(piece)) for piece in pieces), chunk(text(""), reason="STOP"))
