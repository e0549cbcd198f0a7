"""A stream that a provider sent instead of a whole answer: its last event has that answer."""

from __future__ import annotations

from typing import Final

import msgspec

from ...wire.splice import InvalidJSON
from ...wire.sse import EventTooLarge, SseDecoder
from ..base import NotAnAnswer
from .errors import error_of
from .event import ENDS, ERROR, FAILED, read_event

# As large as an answer may be by default.
MAX_ASSEMBLED: Final = 64 * 1024 * 1024


def last_response(body: bytes) -> bytes:
    """Return the response that the stream `body` ends with. Raises NotAnAnswer."""
    decoder = SseDecoder(MAX_ASSEMBLED)
    try:
        events = decoder.feed(body)
    except EventTooLarge as exc:
        raise NotAnAnswer(f"a stream instead of an answer: {exc}", final=True) from exc
    last = decoder.finish()
    for each in [*events, *([] if last is None else [last])]:
        if each.data is None:
            continue
        try:
            event = read_event(each.data)
        except InvalidJSON:
            continue
        if event.type in ENDS and isinstance(event.response, msgspec.Raw):
            return bytes(event.response)
        if event.type in (FAILED, ERROR):
            what = "a stream with an error instead of an answer"
            raise NotAnAnswer(what, error=error_of(event, each.data))
    raise NotAnAnswer("a stream instead of an answer: it ends in the middle", final=True)
