"""The rewriter of a stream of Cohere's: it changes nothing, since no event names the model.

`message-end` is kept back, so that only a success ends with it. One that says that the answer has
failed is an error, and a stream without one is broken, whatever came before.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...records.usage import Usage
from ...wire.json_scan import check_utf8
from ...wire.splice import InvalidJSON
from ...wire.sse import SseEvent, encode
from ..sse_rewriter import SseRewriter
from ..text_meter import TextMeter
from .event import CONTENT, END, EVENT, FAILED, GROWING, LAST, CohereEvent, EndDelta
from .unstreamed import as_stream
from .usage import read_usage

# What some servers put behind the last event, and the SDK stops at (`v2/raw_client.py`).
DONE: Final = b"[DONE]"
_UNREADABLE: Final = "the provider sent an event that cannot be read"
# Of a stream that said all but this.
_END: Final = (
    b'event: message-end\ndata: {"type":"message-end","delta":{"finish_reason":"COMPLETE"}}\n\n'
)
_LF: Final = 0x0A
_CR: Final = 0x0D


class CohereStreamRewriter(SseRewriter):
    """Rewrites one stream (see `base.StreamRewriter`)."""

    # The counts are in the last event of every stream.
    awaits_usage = False

    def __init__(self, *, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes)
        self._last = b""
        self._text = TextMeter()
        self.usage: Usage | None = None

    def feed_answer(self, body: bytes) -> bytes:
        """Return what the caller gets for a whole answer, sent instead of a stream.

        Raises NotAnAnswer.
        """
        return self.feed(as_stream(body))

    def finish(self) -> bytes:
        """Return the last event, which was kept back."""
        return self._last or _END

    def _take(self, events: list[SseEvent]) -> bytes:
        out: list[bytes] = []
        sink = self.sink
        for event in events:
            data = event.data
            if data is None:
                out.append(event.comments + b"\n\n")
                continue
            if data == DONE:
                # Without the event that ends an answer it ends none.
                continue
            found = self._read(data)
            if found is None:
                break
            kind = found.type
            if event.name == b"error" or (not kind and found.message is not msgspec.UNSET):
                self.error = data
                break
            if kind in GROWING:
                self._text.event((found,), len(data))
                if kind in CONTENT:
                    self.meaningful = True
                    self.said += 1
            elif kind == LAST and self._is_error(found, data):
                break
            self.events += 1
            if sink is not None:
                sink.append(data)
                continue
            if kind == LAST:
                self._last = encode(_named(event, kind))
                break
            plain = event.name and not event.comments and event.id is None and event.retry is None
            out.append(
                b"event: %b\ndata: %b\n\n" % (event.name, data)
                if plain and _LF not in data and _CR not in data
                else encode(_named(event, kind))
            )
        return b"".join(out)

    def _read(self, data: bytes) -> CohereEvent | None:
        """Return the members of an event; None if it cannot be read."""
        try:
            if not data.isascii():
                # msgspec skips over strings that it does not have to decode.
                check_utf8(data)
            return EVENT.decode(data)
        except (msgspec.DecodeError, InvalidJSON, RecursionError):
            self.malformed += 1
            self.broken = _UNREADABLE
            return None

    def _is_error(self, found: CohereEvent, data: bytes) -> bool:
        """Take note of the last event; say whether it reports that the answer has failed."""
        delta = EndDelta()
        if isinstance(found.delta, msgspec.Raw):
            try:
                delta = END.decode(found.delta)
            except (msgspec.DecodeError, RecursionError):
                self.malformed += 1
                self.broken = _UNREADABLE
                return True
        if delta.finish_reason in FAILED:
            self.error = data
            return True
        if isinstance(delta.usage, msgspec.Raw):
            self.usage = read_usage(delta.usage)
        # An answer may be empty, and is one all the same.
        self.done = self.finished = self.meaningful = True
        self.said += 1
        return False


def _named(event: SseEvent, kind: str) -> SseEvent:
    """Return `event` with a name, as Cohere's own events have one."""
    if not event.name and kind.isascii() and kind.replace("-", "").isalpha():
        event.name = kind.encode("ascii")
    return event
