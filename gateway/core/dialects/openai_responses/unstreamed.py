"""A whole answer that a provider sent instead of a stream, turned into one.

Clients build an answer from its items and the deltas of their text, so both are sent; no value is
decoded and encoded again but the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ...wire.splice import splice
from ...wire.sse import SseEvent, encode
from .answer import read_answer
from .event import text_of

_ENCODE: Final = msgspec.json.Encoder().encode
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ITEM: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PARTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_CR: Final = 0x0D
_LF: Final = 0x0A
_TEXT: Final = "output_text"
_NO_TOKENS: Final = msgspec.Raw(b"[]")


def as_stream(body: bytes) -> bytes:
    """Return the stream that says what `body` says. Raises NotAnAnswer."""
    found = read_answer(body)
    if _LF in body or _CR in body:
        # An event can have several lines of data, but clients written by hand read one.
        body = msgspec.json.format(body, indent=-1)
    begun = splice(body, put={"status": b'"in_progress"', "output": b"[]", "usage": b"null"})
    status = text_of(found.status)
    end = status if status in ("incomplete", "cancelled") else "completed"
    events = [
        ("created", {"response": msgspec.Raw(begun)}),
        ("in_progress", {"response": msgspec.Raw(begun)}),
        *_of_items(found.output),
        (end, {"response": msgspec.Raw(body)}),
    ]
    return b"".join(
        _event(f"response.{name}", number, members) for number, (name, members) in enumerate(events)
    )


def _of_items(output: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        items = _ITEMS.decode(output)
    except (msgspec.DecodeError, RecursionError, TypeError):
        return
    for index, raw in enumerate(items):
        place = {"output_index": index}
        try:
            item = _ITEM.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            item = {}
        content = bytes(item.get("content", b"null"))
        begun = raw
        if content.startswith(b"["):
            begun = msgspec.Raw(
                splice(bytes(raw), put={"content": b"[]", "status": b'"in_progress"'})
            )
        yield "output_item.added", place | {"item": begun}
        if text_of(item.get("type", b"")) == "message":
            yield from _of_parts(content, place | {"item_id": text_of(item.get("id", b""))})
        yield "output_item.done", place | {"item": raw}


def _of_parts(content: bytes, place: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        parts = _PARTS.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return
    for index, raw in enumerate(parts):
        here = place | {"content_index": index}
        try:
            part = _ITEM.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            part = {}
        text = part.get("text")
        said = text is not None and text_of(part.get("type", b"")) == _TEXT
        begun = msgspec.Raw(splice(bytes(raw), put={"text": b'""'})) if said else raw
        yield "content_part.added", here | {"part": begun}
        if said:
            tokens = part.get("logprobs", _NO_TOKENS)
            tokens = tokens if bytes(tokens).startswith(b"[") else _NO_TOKENS
            yield "output_text.delta", here | {"delta": text, "logprobs": tokens}
            yield "output_text.done", here | {"text": text, "logprobs": tokens}
        yield "content_part.done", here | {"part": raw}


def _event(name: str, number: int, members: dict[str, Any]) -> bytes:
    data = _ENCODE({"type": name, "sequence_number": number} | members)
    return encode(SseEvent(data, name.encode()))
