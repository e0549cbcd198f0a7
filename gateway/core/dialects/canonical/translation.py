"""A request in one dialect, sent in another, and its answer on the way back.

    caller's body -> reader of calls -> CanonicalCall -> writer of calls -> provider's body
    provider's stream -> its dialect's rewriter -> reader of events -> writer of events -> caller

The provider's side is a request of its own dialect like any other, which asks for usage, checks
what comes and counts it: the translation sees nothing but sound events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar, Protocol

import msgspec

from ...wire.json_scan import JsonMember
from ..base import (
    Answer,
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
from .own_tools.available import available_tools
from .stop_sequences import CutAnswer, own_stops
from .tools import RestoredCalls, ToolNames, plain_tools
from .translated_stream import EventReader, EventWriter, Read, TranslatedStream
from .writing import forget_citations


class Translator(Protocol):
    """How a dialect is read and written. A dialect has one."""

    @property
    def functions_only(self) -> bool:
        """Say whether other tools than functions have to become some (`tools.py`)."""
        ...

    @property
    def cites_documents(self) -> bool:
        """Say whether an answer can be asked to cite the documents of its request."""
        ...

    def family(self, recipient: ForeignRecipient) -> str:
        """Return which opaque state `recipient` makes and takes (`opaque.py`)."""
        ...

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> CanonicalCall: ...

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
    call = source.read_call(request, fidelity)
    call = available_tools(call, searches=recipient.terms.searches, fidelity=fidelity)
    names: ToolNames = {}
    if target.functions_only:
        call, names = plain_tools(call, fidelity)
    if not target.cites_documents:
        forget_citations(call.turns, fidelity)
    stops = own_stops(call, target, recipient, fidelity)
    body = target.write_call(call, recipient, fidelity)
    return TranslatedRequest(
        request=request,
        inner=recipient.dialect.read_request(body),
        reader=target,
        writer=source,
        family=target.family(recipient),
        dropped=fidelity.dropped,
        now=now,
        names=names,
        stops=stops,
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
    names: ToolNames = {}
    stops: list[str] = []
    # It goes where all chats of its provider go.
    operation: ClassVar[str] = ""

    @property
    def parts(self) -> tuple[DialectRequest, ...]:
        return (self.inner,)

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

    def needs(self, *, prompt: bool = True) -> Needs:
        return self.request.needs(prompt=prompt)

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
        read: Read = self.reader.event_reader().read
        if self.names:
            read = _through(RestoredCalls(self.names).of, read)
        if self.stops:
            read = _through(CutAnswer(self.stops).of, read)
        return TranslatedStream(inner, read, writer, recipient.dialect)


def _through(change: Callable[[Iterable[Event]], Iterable[Event]], read: Read) -> Read:
    return lambda data: change(read(data))
