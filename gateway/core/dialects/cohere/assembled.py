"""A stream that a provider sent instead of a whole answer, put together to one.

The answer was generated and will be billed, so it is worth more than an error.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ...wire.sse import SseDecoder
from ..base import Answer
from ..defaults.assembled import MAX_ASSEMBLED, assembled
from .stream import CohereStreamRewriter


def assemble(body: bytes) -> Answer:
    """Return the answer that the stream `body` gives.

    Raises NotAnAnswer for a stream with an error in it and for one that is not whole.
    """
    rewriter = CohereStreamRewriter(max_event_bytes=MAX_ASSEMBLED)
    return assembled(body, rewriter, lambda events: _Assembly().of(events + rewriter.finish()))


class _Assembly:
    """Puts one answer together, event by event."""

    def __init__(self) -> None:
        self._whole: dict[str, Any] = {}
        self._plan: list[str] = []
        self._content: dict[int, dict[str, Any]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._citations: list[Any] = []

    def of(self, events: bytes) -> bytes:
        for event in SseDecoder(MAX_ASSEMBLED * 2).feed(events):
            if event.data is not None:
                self._add(json.loads(event.data))
        message: dict[str, Any] = {"role": "assistant"}
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        if self._plan:
            message["tool_plan"] = "".join(self._plan)
        if self._content or not self._calls:
            message["content"] = [self._content[index] for index in sorted(self._content)]
        if self._citations:
            message["citations"] = self._citations
        return msgspec.json.encode({**self._whole, "message": message})

    def _add(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        delta = event.get("delta") or {}
        said = delta.get("message") or {}
        if kind == "message-start":
            self._whole |= {"id": event["id"]} if "id" in event else {}
        elif kind == "tool-plan-delta":
            self._plan.append(said["tool_plan"])
        elif kind == "content-start":
            self._content[event["index"]] = dict(said["content"])
        elif kind == "content-delta":
            block = self._content[event["index"]]
            for name, piece in said["content"].items():
                if isinstance(piece, str) and name != "type":
                    block[name] = block.get(name, "") + piece
        elif kind == "tool-call-start":
            self._calls[event["index"]] = said["tool_calls"]
        elif kind == "tool-call-delta":
            function = self._calls[event["index"]]["function"]
            function["arguments"] += said["tool_calls"]["function"]["arguments"]
        elif kind == "citation-start":
            self._citations.append(said["citations"])
        elif kind == "message-end":
            self._whole |= {"id": event["id"]} if event.get("id") else {}
            self._whole |= {name: value for name, value in delta.items() if value is not None}
