"""Streams of Cohere as tests write them."""

from __future__ import annotations

import json
from typing import Any, Final


def event(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def said(kind: str, message: dict[str, Any], **members: Any) -> bytes:
    return event(kind, **members, delta={"message": message})


def text(*pieces: str, index: int = 0, kind: str = "text") -> bytes:
    begun = said("content-start", {"content": {"type": kind, kind: ""}}, index=index)
    grown = [said("content-delta", {"content": {kind: each}}, index=index) for each in pieces]
    return begun + b"".join(grown) + event("content-end", index=index)


def call(id: str, name: str, *pieces: str, index: int = 0) -> bytes:
    function = {"name": name, "arguments": ""}
    begun = {"tool_calls": {"id": id, "type": "function", "function": function}}
    out = said("tool-call-start", begun, index=index)
    for each in pieces:
        grown = {"tool_calls": {"function": {"arguments": each}}}
        out += said("tool-call-delta", grown, index=index)
    return out + event("tool-call-end", index=index)


def cited(start: int, end: int, *sources: dict[str, Any], **more: Any) -> bytes:
    citation = {"start": start, "end": end, "text": "?", "sources": [*sources], **more}
    begun = said("citation-start", {"citations": citation}, index=0)
    return begun + event("citation-end", index=0)


def end(reason: str = "COMPLETE", **more: Any) -> bytes:
    return event("message-end", delta={"finish_reason": reason, "usage": USAGE, **more})


USAGE: Final = {
    "billed_units": {"input_tokens": 12, "output_tokens": 7},
    "tokens": {"input_tokens": 507, "output_tokens": 10},
    "cached_tokens": 448,
}
START: Final = event(
    "message-start",
    id="a-1",
    delta={"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}},
)
HELLO: Final = START + text("Hé", "llo") + end()
