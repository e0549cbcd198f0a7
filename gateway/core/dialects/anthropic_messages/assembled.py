"""A stream that a provider sent instead of a whole answer, put together to one.

The answer was generated and will be billed, so it is worth more than an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ...wire.sse import SseDecoder
from ..base import Answer
from ..defaults.assembled import MAX_ASSEMBLED, assembled
from .stream import MessageStreamRewriter

# By the type of a delta: its member, which is added to that of the block.
_ADDED: Final = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}


def assemble(body: bytes, model: bytes) -> Answer:
    """Return the answer that the stream `body` gives under the name `model`, which is JSON.

    Raises NotAnAnswer for a stream with an error in it and for one that is not whole.
    """
    return assembled(body, MessageStreamRewriter(model, max_event_bytes=MAX_ASSEMBLED), _assemble)


def _assemble(events: bytes) -> bytes:
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    for event in SseDecoder(MAX_ASSEMBLED * 2).feed(events):
        if event.data is None:
            continue
        found = json.loads(event.data)
        kind = found.get("type")
        if kind == "message_start":
            message = message or found["message"]
        elif kind == "content_block_start":
            blocks[found["index"]] = found["content_block"]
        elif kind == "content_block_delta":
            _add_delta(blocks[found["index"]], found["delta"], inputs, found["index"])
        elif kind == "message_delta":
            _add_end(message, found)
    for index, text in inputs.items():
        if text:
            # What a model has begun and not ended is an input all the same.
            blocks[index]["input"] = msgspec.Raw(text.encode()) if _is_json(text) else text
    content = [blocks[index] for index in sorted(blocks)]
    return msgspec.json.encode(message | {"content": content})


def _add_delta(
    block: dict[str, Any], delta: Mapping[str, Any], inputs: dict[int, str], index: int
) -> None:
    kind = delta["type"]
    if kind in _ADDED:
        name = _ADDED[kind]
        block[name] = block.get(name, "") + delta[name]
    elif kind == "input_json_delta":
        inputs[index] = inputs.get(index, "") + delta["partial_json"]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or []), delta["citation"]]


def _add_end(message: dict[str, Any], found: Mapping[str, Any]) -> None:
    delta, usage = found.get("delta") or {}, found.get("usage") or {}
    message |= {key: value for key, value in delta.items() if value is not None}
    given = {key: value for key, value in usage.items() if value is not None}
    message["usage"] = (message.get("usage") or {}) | given
    rest = {key: value for key, value in found.items() if key not in ("type", "delta", "usage")}
    message |= rest


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True
