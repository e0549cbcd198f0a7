"""A whole answer that a provider sent instead of a stream, turned into one.

No value is decoded and encoded again: each block goes into its events as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ...wire.splice import InvalidJSON, members
from ...wire.sse import SseEvent, encode
from ..base import NotAnAnswer
from .errors import reported_by_answer

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_ENCODE: Final = msgspec.json.Encoder().encode
_EMPTY: Final = msgspec.Raw(b'""')
_NULL: Final = msgspec.Raw(b"null")
_NONE: Final = msgspec.Raw(b"[]")
# Members of an answer that come with the end of a stream.
_OF_END: Final = ("error", "finish_reason", "usage")
_LF: Final = 0x0A
_CR: Final = 0x0D


def as_stream(body: bytes) -> bytes:
    """Return the stream that says what `body` says, its end included. Raises NotAnAnswer."""
    try:
        fields = {each.key: body[each.value_start : each.end] for each in members(body)}
    except InvalidJSON as exc:
        raise NotAnAnswer(f"a body that is neither a stream nor JSON: {exc}") from exc
    error = reported_by_answer(body, fields)
    if error is not None:
        raise NotAnAnswer("an error instead of a stream", error=error)
    try:
        message = _FIELDS.decode(fields.get("message", b"null"))
        content = message.get("content", _NONE)
        # Some servers have a text there, as a request may.
        blocks = [{"type": msgspec.Raw(b'"text"'), "text": content}]
        if not bytes(content).startswith(b'"'):
            blocks = _items(content)
        events = [
            *_begun(fields),
            *_planned(message),
            *(each for number, block in enumerate(blocks) for each in _block(number, block)),
            *_called(_items(message.get("tool_calls", _NONE))),
            *_cited(_items(message.get("citations", _NONE))),
        ]
    except (msgspec.DecodeError, RecursionError) as exc:
        raise NotAnAnswer("JSON without a message instead of a stream") from exc
    end = {name: msgspec.Raw(fields[name]) for name in _OF_END if name in fields}
    return b"".join([*events, _event("message-end", delta=end)])


def _items(raw: msgspec.Raw) -> list[dict[str, msgspec.Raw]]:
    return [] if bytes(raw) == b"null" else _ITEMS.decode(raw)


def _begun(fields: dict[str, bytes]) -> Iterator[bytes]:
    message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
    delta = {"message": {**message, "citations": []}}
    if "id" in fields:
        yield _event("message-start", id=msgspec.Raw(fields["id"]), delta=delta)
    else:
        yield _event("message-start", delta=delta)


def _planned(message: dict[str, msgspec.Raw]) -> Iterator[bytes]:
    plan = message.get("tool_plan", _NULL)
    if bytes(plan) not in (b"null", b'""'):
        yield _said("tool-plan-delta", {"tool_plan": plan})


def _block(index: int, block: dict[str, msgspec.Raw]) -> Iterator[bytes]:
    kind = bytes(block.get("type", b"")).strip(b'"').decode("latin-1")
    held = block.get(kind, _EMPTY)
    begun: dict[str, msgspec.Raw] = {**block, kind: _EMPTY} if kind in block else block
    yield _said("content-start", {"content": begun}, index=index)
    if bytes(held) not in (b'""', b"null"):
        yield _said("content-delta", {"content": {kind: held}}, index=index)
    yield _event("content-end", index=index)


def _called(calls: list[dict[str, msgspec.Raw]]) -> Iterator[bytes]:
    for index, call in enumerate(calls):
        function = _FIELDS.decode(call.get("function", msgspec.Raw(b"{}")))
        arguments = function.get("arguments", _EMPTY)
        begun: dict[str, Any] = {**call, "function": {**function, "arguments": _EMPTY}}
        yield _said("tool-call-start", {"tool_calls": begun}, index=index)
        if bytes(arguments) not in (b'""', b"null"):
            grown = {"tool_calls": {"function": {"arguments": arguments}}}
            yield _said("tool-call-delta", grown, index=index)
        yield _event("tool-call-end", index=index)


def _cited(citations: list[dict[str, msgspec.Raw]]) -> Iterator[bytes]:
    for index, citation in enumerate(citations):
        yield _said("citation-start", {"citations": citation}, index=index)
        yield _event("citation-end", index=index)


def _said(kind: str, message: dict[str, Any], **members: Any) -> bytes:
    return _event(kind, **members, delta={"message": message})


def _event(kind: str, **members: Any) -> bytes:
    text = _ENCODE({"type": kind, **members})
    if _LF in text or _CR in text:
        # An event can have several lines of data, but clients written by hand read one.
        text = msgspec.json.format(text, indent=-1)
    return encode(SseEvent(text, kind.encode()))
