"""The rewriter of a Responses stream: provider's bytes in, caller's bytes out.

It puts the requested name into the `response` objects, takes out `id:` and `retry:` as that of
chat completions does, and keeps the last event back until the stream is known to be whole. All
other bytes of an event stay as they are, so its numbers do, too.

    response.completed, .incomplete   the end; nothing is read behind it
    response.failed                   the end of a failed answer
    error                             `response.failed` follows it, by the provider or by us

Before there is any content, the last two are failures of an attempt that others may follow.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...limits.estimate import BYTES_PER_TOKEN
from ...records.usage import Usage
from ...wire.json_scan import NOTHING
from ...wire.splice import InvalidJSON, splice
from ...wire.sse import SseEvent, encode
from ..openai_chat.chunk import is_bare_word
from ..openai_chat.usage.reports import UsageReports
from ..sse_rewriter import SseRewriter
from ..text_meter import text_size
from .errors import BETWEEN, error_of, failed, words_of
from .event import (
    ENDS,
    ERROR,
    FAILED,
    ITEM_DONE,
    OF_THE_RESPONSE,
    OPENING,
    Event,
    Found,
    kept_ids,
    read_event,
    read_response,
)
from .searches import searches_in
from .unstreamed import as_stream

_LF: Final = 0x0A
_UNSET: Final = msgspec.UNSET
_UNREADABLE: Final = "the provider sent an event that cannot be read"
_NO_END: Final = "the provider ended the stream before the response was complete"
# Its delta is base64.
_AUDIO: Final = "response.audio.delta"
_DECODER: Final = msgspec.json.Decoder()


class ResponsesStreamRewriter(SseRewriter):
    """Rewrites one stream (see `base.StreamRewriter`) under the name `model`, which is JSON.

    `final` is the `response` of its last event, once that has come.
    """

    # The end of a stream tells the usage.
    awaits_usage = False

    def __init__(self, model: bytes, *, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes)
        self.final = b""
        self._model = model
        self._reports = UsageReports()
        self._last = b""
        self._searches: int | None = 0
        # The `response` as it was told last, and the number of the last event that has one.
        self._response = b""
        self._sequence: bytes | Found = b"-1"
        # What an `error` event has told, after which the stream should fail; its data and number.
        self._told = b""
        self._told_by = b""
        self._told_at: bytes | msgspec.Raw = b""
        # Text in bytes and in pieces, and how many of these came before the present item.
        self._size = 0
        self._pieces = 0
        self._before = 0

    @property
    def usage(self) -> Usage | None:
        usage = self._reports.usage
        return None if usage is None else usage.with_searches(self._searches)

    @property
    def text_tokens(self) -> int:
        return max(-(-self._size // BYTES_PER_TOKEN), self._pieces)

    def end(self) -> bytes:
        output = super().end()
        if self._told and not self.ended:
            self._sequence = self._told_at or self._sequence
            self._fails(self.failure(*words_of(self._told)))
        return output

    def finish(self) -> bytes:
        return self._last

    def failure(self, message: str, code: str) -> bytes:
        """Return the data of the event by which the stream fails now."""
        try:
            number = int(bytes(self._sequence)[:20]) + 1  # type: ignore[arg-type]
        except (ValueError, TypeError):
            number = 0
        return failed(message, code, response=self._response, model=self._model, sequence=number)

    def _take(self, events: list[SseEvent]) -> bytes:
        out: list[bytes] = []
        sink, shown = self.sink, 0
        for event in events:
            data = event.data
            if data is None:
                out.append(event.comments + b"\n\n")
                continue
            rewritten = self._rewrite(data, event.name)
            if rewritten is not None:
                shown += 1
                if sink is not None:
                    sink.append(rewritten)
                    if self.ended:
                        break
                    continue
                name = event.name
                if event.comments or _LF in rewritten:
                    block = encode(SseEvent(rewritten, name, comments=event.comments))
                elif name:
                    block = b"event: %b\ndata: %b\n\n" % (name, rewritten)
                else:
                    block = b"data: %b\n\n" % rewritten
                if self.done:
                    self._last = block
                    break
                out.append(block)
            if self.ended:
                break
        self.events += shown
        return b"".join(out)

    def _rewrite(self, data: bytes, name: bytes) -> bytes | None:
        """Return the event's new data; None to drop it."""
        try:
            event = read_event(data)
        except InvalidJSON:
            return self._unreadable(data, name)
        kind = event.type
        # What most events are: a piece of text of a stream that has begun to say something.
        if event.delta is not _UNSET and self.meaningful and kind.startswith(OF_THE_RESPONSE):
            self._sequence = event.sequence_number
            if kind != _AUDIO:
                # Without the quotes; escapes make a text a little longer than it is.
                self._size += len(event.delta) - 2
                self._pieces += 1
            return data
        if kind == ERROR or name == b"error" or _is_error(event):
            self._note_error(event, data)
            return None
        if event.sequence_number is not _UNSET:
            self._sequence = event.sequence_number
        if event.response is not _UNSET:
            return self._rewrite_response(event, data, event.response)
        if kind in ENDS:
            # Without its response it says that the stream is over, and nothing else.
            self.done = self.finished = self.meaningful = True
            self.said += 1
            return data
        if event.delta is not _UNSET and kind != _AUDIO:
            self._size += len(event.delta) - 2
            self._pieces += 1
        elif kind == ITEM_DONE:
            self._item_done(event)
        if not self.meaningful and kind.startswith(OF_THE_RESPONSE) and kind not in OPENING:
            self.meaningful = True
            self.said += 1
        return data

    def _unreadable(self, data: bytes, name: bytes) -> bytes | None:
        if name == b"error":
            self._note_error(Event(ERROR), data)
            return None
        if data.startswith(b"[DONE]"):
            # It comes behind the end where it comes at all.
            self.broken = None if self._told else _NO_END
            return None
        self.malformed += 1
        if not is_bare_word(data):
            self.broken = _UNREADABLE
        return None

    def _rewrite_response(self, event: Event, data: bytes, raw: msgspec.Raw) -> bytes | None:
        found = read_response(raw)
        self.kept_ids = kept_ids(found) or self.kept_ids
        if found.usage is not _UNSET:
            self._reports.add(found.usage)
        response = bytes(raw)
        if response.startswith(b"{"):
            response = self._response = splice(response, replace={"model": self._model})
            data = splice(data, replace={"response": response})
        kind = event.type
        if kind == FAILED:
            if self.meaningful:
                self._fails(data)
            else:
                self.error = error_of(event, data)
            return None
        if kind in ENDS:
            self.final = response
            self._searches = searches_in(found.output)
            self.done = self.finished = self.meaningful = True
            self.said += 1
        elif kind not in OPENING and kind.startswith(OF_THE_RESPONSE):
            self.meaningful = True
        return data

    def _note_error(self, event: Event, data: bytes) -> None:
        """Take note of an error; if there was content, `response.failed` may follow it."""
        error = error_of(event, data)
        if not self.meaningful:
            self.error = error
            return
        self._told = error
        if event.type == ERROR:
            self._told_by = data
        if event.sequence_number is not _UNSET:
            self._told_at = event.sequence_number
        self.finished = True
        self.said += 1

    def _fails(self, failed: bytes) -> None:
        """End the stream with the data of its last event, and of the `error` before it.

        Both go to the caller together: what a provider says of an error may quote our key, which
        is taken out of it first.
        """
        self.error = BETWEEN.join([self._told_by, failed] if self._told_by else [failed])

    def _item_done(self, event: Event) -> None:
        """Count what came with its end alone, as some providers send the arguments of calls."""
        if self._pieces == self._before and event.item is not _UNSET:
            try:
                size = text_size(_DECODER.decode(event.item))
            except (msgspec.DecodeError, RecursionError):
                size = len(event.item)
            if size:
                self._size += size
                self._pieces += 1
        self._before = self._pieces

    def feed_answer(self, body: bytes) -> bytes:
        return self.feed(as_stream(body))


def _is_error(event: Event) -> bool:
    """Say whether an event without a type reports an error, as servers send it that have none."""
    return not event.type and event.error is not _UNSET and bytes(event.error) not in NOTHING
