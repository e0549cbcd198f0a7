"""The rewriter of a stream of Messages: provider's bytes in, caller's bytes out.

It changes the model's name in `message_start` and nothing else: pings, unknown events, unknown
members and the order of all of them stay. `message_stop` is kept back, so that only a success
ends with it. A stream without it is broken, whatever came before: clients wait for it.

An event that cannot be read is text that the caller would miss without knowing: it breaks the
stream.

The hot path: one msgspec pass checks an event's syntax and finds the members of interest, then
its bytes are sent on. Only `message_start` is ever cut.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...records.usage import Usage
from ...wire.json_scan import NOTHING, check_utf8
from ...wire.splice import InvalidJSON, NotAnObject, members, splice
from ...wire.sse import SseEvent, encode
from ..sse_rewriter import SseRewriter
from ..text_meter import TextMeter
from .event import EVENT, StreamEvent, block_says, delta_says, members_of, stop_reason_of
from .unstreamed import as_stream
from .usage import MessageUsage

# Of a stream whose provider has said all but this (types/raw_message_stop_event.py).
STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

_UNSET: Final = msgspec.UNSET
_LF: Final = 0x0A
_CR: Final = 0x0D
_MEMBERS: Final = frozenset({"delta", "content_block", "message", "usage", "error"})
# What a `message_start` has only if it is the whole message.
_OF_END: Final = ("content", "stop_reason")
_UNREADABLE: Final = "the provider sent an event that cannot be read"
_SILENT: Final = b'{"type":"error","error":{"type":"api_error","message":"%b"}}'
_NO_WORDS: Final = b"the provider reports an error"


class MessageStreamRewriter(SseRewriter):
    """Rewrites one stream (see `base.StreamRewriter`). `model` is the requested name as JSON.

    `done` says that `message_stop` was the last that came. There is no other proper end, so that
    `finished` says the same. Some recorded streams go on with another message: so it is no reason
    to stop reading, and the relay gives what may follow a moment.
    """

    # Usage comes with the events that every stream has.
    awaits_usage = False

    def __init__(self, model: bytes, *, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes)
        self._model = model
        self._last = b""
        self._reports = MessageUsage()
        self._text = TextMeter()

    @property
    def usage(self) -> Usage | None:
        """Return what the provider has reported so far."""
        return self._reports.usage

    @property
    def ended(self) -> bool:
        """Say whether there is nothing more to be had from the stream."""
        return self.error is not None or self.broken is not None

    def feed_answer(self, body: bytes) -> bytes:
        """Return what the caller gets for a whole answer, sent instead of a stream.

        Raises NotAnAnswer.
        """
        return self.feed(as_stream(body))

    def finish(self) -> bytes:
        """Return the `message_stop` that was kept back."""
        return self._last or STOP

    def _take(self, events: list[SseEvent]) -> bytes:
        out: list[bytes] = []
        sink = self.sink
        for event in events:
            data = event.data
            if data is None:
                out.append(event.comments + b"\n\n")
                continue
            if event.name == b"error":
                self._fail(data)
                break
            found = self._read(data)
            if found is None:
                break
            kind = found.type
            if self._last and kind != "message_stop":
                out.append(self._go_on(kind))
            if kind == "content_block_delta":
                self._text.event((found,), len(data))
                if not self.meaningful and delta_says(found.delta):
                    self._mean()
            elif kind == "message_stop":
                self.done = self.finished = True
                self.said += 1
                self._last = encode(_named(event, kind))
                continue
            else:
                event.data = data = self._note(found, data)
                if self.error is not None:
                    break
            self.events += 1
            if sink is not None:
                sink.append(data)
                continue
            plain = event.name and not event.comments and event.id is None and event.retry is None
            out.append(
                b"event: %b\ndata: %b\n\n" % (event.name, data)
                if plain and _LF not in data and _CR not in data
                else encode(_named(event, kind))
            )
        return b"".join(out)

    def _read(self, data: bytes) -> StreamEvent | None:
        """Return the members of an event; None if it cannot be read, or says no more than that."""
        try:
            if not data.isascii():
                # msgspec skips over strings that it does not have to decode.
                check_utf8(data)
            return EVENT.decode(data)
        except (msgspec.DecodeError, InvalidJSON, RecursionError):
            return self._read_odd(data)

    def _read_odd(self, data: bytes) -> StreamEvent | None:
        """Handle what the typed reading refuses: odd types, lone surrogates, no JSON."""
        try:
            found = {each.key: data[each.value_start : each.end] for each in members(data)}
        except NotAnObject:
            # No event of this API, and no half of one.
            return StreamEvent()
        except InvalidJSON:
            self.malformed += 1
            self.broken = _UNREADABLE
            return None
        kind = found.get("type", b"")[1:-1].decode("latin-1")
        event = StreamEvent(type=kind)
        for name in _MEMBERS & found.keys():
            setattr(event, name, msgspec.Raw(found[name]))
        return event

    def _note(self, found: StreamEvent, data: bytes) -> bytes:
        """Take note of an event that is no delta; return its data as the caller gets it."""
        kind = found.type
        if kind == "message_start":
            message = members_of(found.message)
            if "usage" in message:
                self._reports.add(message["usage"])
            if any(
                message.get(name, b"null") not in NOTHING for name in ("content", "stop_reason")
            ):
                # The whole message at once: so it is of turns that server tools have interrupted.
                self._mean()
            return self._renamed(data)
        if kind == "content_block_start":
            if not self.meaningful and block_says(found.content_block):
                self._mean()
        elif kind == "message_delta":
            if found.usage is not _UNSET:
                self._reports.add(bytes(found.usage))
            if stop_reason_of(found.delta) is not None:
                # An answer may be empty (a refusal is), and is one all the same.
                self._mean()
        elif kind == "error" or _has_error(found):
            self._fail(data)
        return data

    def _go_on(self, kind: str) -> bytes:
        """Return the `message_stop` that was not the last event, if another message follows."""
        if kind != "message_start":
            # A ping, say: behind the message and no part of it.
            return b""
        last, self._last = self._last, b""
        self.done = self.finished = False
        return last

    def _mean(self) -> None:
        self.meaningful = True
        self.said += 1

    def _fail(self, data: bytes) -> None:
        """Take note of an error event, whatever its data is."""
        try:
            found = {each.key for each in members(data)}
        except InvalidJSON:
            text = data.decode("utf-8", "replace").strip()
            self.error = _SILENT % (msgspec.json.encode(text)[1:-1] if text else _NO_WORDS)
            return
        if "error" in found:
            self.error = data
        elif found - {"type"}:
            self.error = b'{"type":"error","error":%b}' % data
        else:
            self.error = _SILENT % _NO_WORDS

    def _renamed(self, data: bytes) -> bytes:
        """Return a `message_start` under the requested name."""
        known = members(data)
        for member in known:
            if member.key == "message":
                message = data[member.value_start : member.end]
                if message.startswith(b"{"):
                    message = splice(message, replace={"model": self._model})
                return splice(data, replace={"message": message}, known=known)
        return data


def _has_error(found: StreamEvent) -> bool:
    """Say whether an event reports an error without being called one."""
    return found.type != "ping" and found.error is not _UNSET and bytes(found.error) not in NOTHING


def _named(event: SseEvent, kind: str) -> SseEvent:
    """Return `event` with a name: the SDKs pass over events without one (`_streaming.py`)."""
    if not event.name and kind.isascii() and kind.isidentifier():
        event.name = kind.encode("ascii")
    return event
