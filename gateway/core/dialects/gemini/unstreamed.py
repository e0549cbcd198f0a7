"""A whole answer that a provider sent instead of a stream, turned into one.

An event of a stream has the form of a whole answer, so that it is one event; a JSON array, which
Google sends to who does not ask for SSE, has all of them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...wire.json_scan import NOTHING
from ...wire.splice import InvalidJSON, members
from ...wire.sse import SseEvent, encode
from ..base import NotAnAnswer

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_LF: Final = 0x0A
_CR: Final = 0x0D


def as_stream(body: bytes) -> bytes:
    """Return the stream that says what `body` says. Raises NotAnAnswer."""
    if not body.lstrip().startswith(b"["):
        return _event(body)
    try:
        found = _ITEMS.decode(body)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise NotAnAnswer(f"a body that is neither a stream nor JSON: {exc}") from exc
    return b"".join([_event(bytes(each), inside=number > 0) for number, each in enumerate(found)])


def reported(body: bytes, fields: dict[str, bytes]) -> bytes | None:
    """Return the error that an answer with these members reports instead of content."""
    if fields.get("candidates", b"null") not in NOTHING:
        # Text with an error beside it is a text: the caller has an answer.
        return None
    return body if fields.get("error", b"null") not in NOTHING else None


def _event(body: bytes, *, inside: bool = False) -> bytes:
    """Return the event that has `body`; an error `inside` of a stream is for its reader."""
    try:
        fields = {each.key: body[each.value_start : each.end] for each in members(body)}
    except InvalidJSON as exc:
        raise NotAnAnswer(f"a body that is neither a stream nor JSON: {exc}") from exc
    if not inside and (error := reported(body, fields)) is not None:
        raise NotAnAnswer("an error instead of a stream", error=error)
    if not inside and not {"candidates", "promptFeedback", "usageMetadata"} & fields.keys():
        raise NotAnAnswer("JSON without candidates instead of a stream")
    if _LF in body or _CR in body:
        # An event can have several lines of data, but clients written by hand read one.
        body = msgspec.json.format(body, indent=-1)
    return encode(SseEvent(body))
