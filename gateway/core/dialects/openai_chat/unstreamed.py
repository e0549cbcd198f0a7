"""A whole answer that a provider sent instead of a stream, turned into one.

Its text goes into one chunk, its usage into another, as OpenAI sends it; no value is decoded
and encoded again.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...wire.splice import InvalidJSON
from ...wire.sse import SseEvent, encode
from ..base import NotAnAnswer
from .chunk import CHAT, Shape
from .faults import reported_by_answer, unwrapped, values

_CHOICES: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_MESSAGE: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TOOL_CALLS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_ENCODE: Final = msgspec.json.Encoder().encode
_NO_CHOICES: Final = msgspec.Raw(b"[]")
# What the chunks of one answer have in common.
_SHARED: Final = frozenset({"id", "object", "created", "model"})
_LF: Final = 0x0A
_CR: Final = 0x0D
_END: Final = b"data: [DONE]\n\n"


def as_stream(body: bytes, shape: Shape = CHAT) -> bytes:
    """Return the stream that says what `body` says, `[DONE]` included. Raises NotAnAnswer."""
    try:
        fields = values(body)
    except InvalidJSON as exc:
        if (inner := unwrapped(body)) is not None:
            return as_stream(inner, shape)
        raise NotAnAnswer(f"a body that is neither a stream nor JSON: {exc}") from exc
    error = reported_by_answer(body, fields)
    if error is not None:
        raise NotAnAnswer("an error instead of a stream", error=error)
    try:
        choices = [_as_delta(choice) for choice in _CHOICES.decode(fields.get("choices", b""))]
    except (msgspec.DecodeError, RecursionError) as exc:
        raise NotAnAnswer("JSON without choices instead of a stream") from exc
    chunk = {key: msgspec.Raw(value) for key, value in fields.items()}
    usage = chunk.pop("usage", None)
    chunk["object"] = msgspec.Raw(_ENCODE(shape.chunk))
    chunk["choices"] = msgspec.Raw(_ENCODE(choices))
    events = _event(chunk)
    if usage is not None and bytes(usage) != b"null":
        totals = {key: value for key, value in chunk.items() if key in _SHARED}
        totals |= {"choices": _NO_CHOICES, "usage": usage}
        events += _event(totals)
    return events + _END


def _event(chunk: dict[str, msgspec.Raw]) -> bytes:
    text = _ENCODE(chunk)
    if _LF in text or _CR in text:
        # An event can have several lines of data, but clients written by hand read one.
        text = msgspec.json.format(text, indent=-1)
    return encode(SseEvent(text))


def _as_delta(choice: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    message = choice.pop("message", None)
    if message is None:
        return choice
    fields = _MESSAGE.decode(message)
    calls = fields.get("tool_calls")
    if calls is not None and bytes(calls) != b"null":
        # The fragments of calls are told apart by their index, which whole ones do not have.
        fields["tool_calls"] = msgspec.Raw(
            _ENCODE(
                [
                    {"index": msgspec.Raw(b"%d" % number)} | call
                    for number, call in enumerate(_TOOL_CALLS.decode(calls))
                ]
            )
        )
    return {"delta": msgspec.Raw(_ENCODE(fields))} | choice
