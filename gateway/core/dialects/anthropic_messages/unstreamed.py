"""A whole answer that a provider sent instead of a stream, turned into one.

No value is decoded and encoded again: each block goes into the event that begins it, but for what
clients take from deltas alone, the text and a tool's input.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...wire.splice import InvalidJSON, members
from ...wire.sse import SseEvent, encode
from ..base import NotAnAnswer
from .faults import reported_by_answer

_BLOCKS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_ENCODE: Final = msgspec.json.Encoder().encode
_EMPTY: Final = msgspec.Raw(b'""')
_NO_INPUT: Final = msgspec.Raw(b"{}")
_NULL: Final = msgspec.Raw(b"null")
_LF: Final = 0x0A
_CR: Final = 0x0D
# By the type of a block: the member that comes in deltas, the delta's type, and its member.
_IN_DELTAS: Final = {
    b'"text"': ("text", "text_delta", "text"),
    b'"thinking"': ("thinking", "thinking_delta", "thinking"),
}
_TOOLS: Final = frozenset({b'"tool_use"', b'"server_tool_use"', b'"mcp_tool_use"'})
# Members of a message that come with its end (types/raw_message_delta_event.py).
_OF_END: Final = ("stop_reason", "stop_sequence", "stop_details", "container")


def as_stream(body: bytes) -> bytes:
    """Return the stream that says what `body` says, `message_stop` included.

    Raises NotAnAnswer.
    """
    try:
        fields = {
            found.key: msgspec.Raw(body[found.value_start : found.end]) for found in members(body)
        }
    except InvalidJSON as exc:
        raise NotAnAnswer(f"a body that is neither a stream nor JSON: {exc}") from exc
    error = reported_by_answer(body, {key: bytes(value) for key, value in fields.items()})
    if error is not None:
        raise NotAnAnswer("an error instead of a stream", error=error)
    try:
        blocks = _BLOCKS.decode(fields.pop("content", b"null"))
    except (msgspec.DecodeError, RecursionError) as exc:
        raise NotAnAnswer("JSON without content instead of a stream") from exc
    usage = fields.get("usage", _NO_INPUT)
    end = {name: fields.pop(name) for name in _OF_END if name in fields}
    started = fields | {
        "content": msgspec.Raw(b"[]"),
        "stop_reason": _NULL,
        "stop_sequence": _NULL,
        "usage": usage,
    }
    events = [_event("message_start", message=started)]
    for index, block in enumerate(blocks):
        events += _block_events(index, block)
    events.append(_event("message_delta", delta=end, usage=usage))
    events.append(_event("message_stop"))
    return b"".join(events)


def _block_events(index: int, block: dict[str, msgspec.Raw]) -> list[bytes]:
    deltas: list[dict[str, object]] = []
    kind = bytes(block.get("type", b""))
    if kind in _IN_DELTAS:
        member, name, key = _IN_DELTAS[kind]
        if member in block:
            deltas.append({"type": name, key: block[member]})
            block = block | {member: _EMPTY}
        if "signature" in block:
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            block = block | {"signature": _EMPTY}
    elif kind in _TOOLS and "input" in block:
        text = bytes(block["input"]).decode("utf-8", "replace")
        deltas.append({"type": "input_json_delta", "partial_json": text})
        block = block | {"input": _NO_INPUT}
    return [
        _event("content_block_start", index=index, content_block=block),
        *(_event("content_block_delta", index=index, delta=delta) for delta in deltas),
        _event("content_block_stop", index=index),
    ]


def _event(kind: str, **members: object) -> bytes:
    text = _ENCODE({"type": kind, **members})
    if _LF in text or _CR in text:
        # An event can have several lines of data, but clients written by hand read one.
        text = msgspec.json.format(text, indent=-1)
    return encode(SseEvent(text, kind.encode()))
