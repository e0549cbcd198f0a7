"""A request in one dialect, sent in another, and its answer on the way back.

    caller's body -> reader of calls -> CanonicalCall -> writer of calls -> provider's body
    provider's stream -> its dialect's rewriter -> reader of events -> writer of events -> caller

The provider's side is a request of its own dialect like any other, which asks for usage, checks
what comes and counts it: the translation sees nothing but sound events.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from ...records.usage import Usage
from ...wire.json_scan import JsonMember
from ...wire.sse import SseDecoder
from ..base import (
    Answer,
    Dialect,
    DialectRequest,
    ForeignRecipient,
    NotAnAnswer,
    Recipient,
    StreamRewriter,
)
from ..needs import Needs
from .call import CanonicalCall
from .events import Event
from .fidelity import Fidelity

# By an error's status, its code in the gateway's own words, for the caller's dialect to write.
_CODES: Final = {429: "rate_limit_exceeded", 503: "overloaded", 529: "overloaded"}
# Larger than any limit of the provider's side, which has looked at sizes already.
_ANY_SIZE: Final = 2**62
_UNREADABLE: Final = "the provider sent an event that cannot be translated"


class EventReader(Protocol):
    """Reads a provider's stream, event by event."""

    def read(self, data: bytes) -> Iterable[Event]:
        """Return what the data of an event says. Raises ValueError for what it cannot mean."""
        ...


class EventWriter(Protocol):
    """Writes a caller's stream."""

    def write(self, event: Event) -> bytes: ...

    def finish(self, usage: Usage | None, tokens: int) -> bytes:
        """Return the end of a whole stream; `tokens` is about how many its text has."""
        ...


class Translator(Protocol):
    """How a dialect is read and written. A dialect has one."""

    def family(self, recipient: ForeignRecipient) -> str:
        """Return which opaque state `recipient` makes and takes (`opaque.py`)."""
        ...

    def read_call(self, body: bytes, fidelity: Fidelity) -> CanonicalCall: ...

    def write_call(
        self, call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
    ) -> bytes: ...

    def event_reader(self) -> EventReader: ...

    def event_writer(
        self, request: DialectRequest, model: bytes, family: str, now: float, *, whole: bool
    ) -> EventWriter:
        """Return what writes the answer to `request` under the name `model`, as JSON.

        `now` is Unix time, for dialects whose answers have a date. With `whole` the stream is for
        `assemble`, so that it says all that there is, usage too.
        """
        ...

    def as_stream(self, body: bytes) -> bytes:
        """Return a whole answer as a stream. Raises NotAnAnswer."""
        ...

    def assemble(self, stream: bytes, model: bytes) -> Answer:
        """Return a stream as a whole answer. Raises NotAnAnswer."""
        ...


def translate(
    request: DialectRequest,
    source: Translator,
    target: Translator,
    recipient: ForeignRecipient,
    now: float,
) -> TranslatedRequest:
    """Return `request`, whose dialect `source` reads, for a `recipient` that `target` writes for.

    Raises Untranslatable for what the recipient's API cannot say, InvalidRequest (400) for what no
    API could read.
    """
    fidelity = Fidelity(drop=recipient.drops)
    call = source.read_call(request.body, fidelity)
    body = target.write_call(call, recipient, fidelity)
    return TranslatedRequest(
        request=request,
        inner=recipient.dialect.read_request(body),
        reader=target,
        writer=source,
        family=target.family(recipient),
        dropped=fidelity.dropped,
        now=now,
    )


class TranslatedRequest(msgspec.Struct, frozen=True):
    """A `DialectRequest`. `inner` is what the provider is sent, `request` what the caller sent."""

    request: DialectRequest
    inner: DialectRequest
    reader: Translator
    writer: Translator
    family: str
    dropped: tuple[str, ...] = ()
    now: float = 0.0

    @property
    def members(self) -> list[JsonMember]:
        return self.request.members

    @property
    def body(self) -> bytes:
        return self.request.body

    @property
    def model(self) -> str:
        return self.request.model

    @property
    def stream(self) -> bool:
        return self.request.stream

    @property
    def user(self) -> str | None:
        return self.request.user

    @property
    def continues(self) -> str | None:
        return self.request.continues

    @property
    def once(self) -> bool:
        return self.request.once

    @property
    def answer_tokens(self) -> int:
        return self.inner.answer_tokens

    @property
    def answers(self) -> int:
        return self.inner.answers

    def needs(self) -> Needs:
        return self.request.needs()

    def body_for(self, recipient: Recipient) -> bytes:
        return self.inner.body_for(recipient)

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        inner = self.inner.start_stream(recipient, name, max_event_bytes)
        return self._stream(recipient, inner, name, whole=False)

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        found = self.inner.rewrite_answer(recipient, name, body)
        stream = self.reader.as_stream(found.body)
        inner = self.inner.start_stream(recipient, name, 2 * len(stream) + 1)
        translated = self._stream(recipient, inner, name, whole=True)
        events = translated.feed(stream) + translated.end()
        if translated.error is not None:
            raise NotAnAnswer("the answer is an error with status 200", error=translated.error)
        if translated.broken is not None:
            raise NotAnAnswer(translated.broken, final=True)
        written = self.writer.assemble(events + translated.finish(), name)
        return Answer(written.body, found.usage, found.text_tokens)

    def _stream(
        self, recipient: Recipient, inner: StreamRewriter, name: bytes, *, whole: bool
    ) -> TranslatedStream:
        writer = self.writer.event_writer(self.request, name, self.family, self.now, whole=whole)
        return TranslatedStream(inner, self.reader.event_reader(), writer, recipient.dialect)


class TranslatedStream:
    """A `StreamRewriter`: the provider's own, and what it lets through in the caller's dialect."""

    kept_ids: tuple[str, ...] = ()

    def __init__(
        self, inner: StreamRewriter, reader: EventReader, writer: EventWriter, dialect: Dialect
    ) -> None:
        self.meaningful = False
        self.progressed = False
        self.done = False
        self.finished = False
        self.said = 0
        self.error: bytes | None = None
        self.broken: str | None = None
        self.events = 0
        self.malformed = 0
        self._inner = inner
        self._dialect = dialect
        self._read = reader.read
        self._write = writer.write
        self._writer = writer
        self._decoder = SseDecoder(_ANY_SIZE)

    @property
    def usage(self) -> Usage | None:
        return self._inner.usage

    @property
    def text_tokens(self) -> int:
        return self._inner.text_tokens

    @property
    def ended(self) -> bool:
        return self.broken is not None or self._inner.ended

    @property
    def awaits_usage(self) -> bool:
        return self._inner.awaits_usage

    @property
    def foreign_error(self) -> tuple[str, str] | None:
        """Return what the provider's error says and its code: its form is not the caller's."""
        if self.error is None:
            return None
        status = self._dialect.error_status(self.error)
        return self._dialect.read_error(self.error), _CODES.get(status or 0, "upstream_broke")

    def feed(self, chunk: bytes) -> bytes:
        return self._translated(self._inner.feed(chunk))

    def feed_answer(self, body: bytes) -> bytes:
        return self._translated(self._inner.feed_answer(body))

    def end(self) -> bytes:
        return self._translated(self._inner.end())

    def finish(self) -> bytes:
        rest = self._translated(self._inner.finish())
        return rest + self._writer.finish(self._inner.usage, self._inner.text_tokens)

    def _translated(self, data: bytes) -> bytes:
        inner = self._inner
        self.meaningful, self.progressed = inner.meaningful, inner.progressed
        self.done, self.finished = inner.done, inner.finished
        self.said, self.events, self.malformed = inner.said, inner.events, inner.malformed
        self.error = inner.error
        self.broken = self.broken or inner.broken
        if not data or (self.broken is not None and inner.broken is None):
            return b""
        read, write = self._read, self._write
        out: list[bytes] = []
        marks = self._dialect.stream_marks
        for event in self._decoder.feed(data):
            said = event.data
            if said is None or said in marks:
                continue
            try:
                out += [write(each) for each in read(said)]
            except (ValueError, RecursionError):
                # msgspec's errors are ValueErrors. The rewriter has let through what it did not
                # have to read; here it means text that the caller would miss without knowing.
                self.broken = _UNREADABLE
                break
        return b"".join(out)
