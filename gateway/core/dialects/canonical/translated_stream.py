"""A provider's stream on its way to a caller of another dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from ...records.usage import Usage
from ..base import Dialect, StreamRewriter
from ..rewriting import EventRewriter
from .events import (
    BlockStarted,
    BlockStopped,
    Cited,
    Event,
    Searched,
    Started,
    Stopped,
)

# By an error's status, its code in the gateway's own words, for the caller's dialect to write.
_CODES: Final = {
    402: "insufficient_quota",
    429: "rate_limit_exceeded",
    503: "overloaded",
    529: "overloaded",
}
_UNREADABLE: Final = "the provider sent an event that cannot be translated"


class EventReader(Protocol):
    """Reads a provider's stream, event by event."""

    def read(self, data: bytes) -> Iterable[Event]:
        """Return what the data of an event says. Raises ValueError for what it cannot mean."""
        ...


Read = Callable[[bytes], Iterable[Event]]


class EventWriter(Protocol):
    """Writes a caller's stream."""

    def write(self, event: Event) -> bytes: ...

    def finish(self, usage: Usage | None, tokens: int) -> bytes:
        """Return the end of a whole stream; `tokens` is about how many its text has."""
        ...


class DispatchingWriter:
    """The base of writers of events: says which method writes what. Pieces are not here.

    They come by the thousand, and each writer has them first in its `write`.
    """

    def _other(self, event: Event) -> bytes:  # a row for each kind
        """Return what the caller gets for any event but a piece of a block."""
        if isinstance(event, BlockStarted):
            return self._begin(event)
        if isinstance(event, BlockStopped):
            return self._stop(event.index)
        if isinstance(event, Started):
            return self._start(event.id)
        if isinstance(event, Cited):
            return self._cite(event)
        if isinstance(event, Searched):
            return self._search(event)
        assert isinstance(event, Stopped)
        return self._end(event)

    def _start(self, id: str) -> bytes:
        raise NotImplementedError

    def _begin(self, event: BlockStarted) -> bytes:
        raise NotImplementedError

    def _stop(self, index: int) -> bytes:
        raise NotImplementedError

    def _end(self, event: Stopped) -> bytes:
        raise NotImplementedError

    def _cite(self, event: Cited) -> bytes:
        """Show what a text is from; nothing, where the API has no place for it."""
        return b""

    def _search(self, event: Searched) -> bytes:
        """Show a search of the provider's; nothing, where the API has no place for it."""
        return b""


class TranslatedStream:
    """A `StreamRewriter`: the provider's own, and what it lets through in the caller's dialect.

    How far the stream is, the provider's rewriter says. It gives the data of its events to a list:
    to write them out and read them again would cost half as much as all of the rest.
    """

    kept_ids: tuple[str, ...] = ()

    def __init__(
        self, inner: StreamRewriter, read: Read, writer: EventWriter, dialect: Dialect
    ) -> None:
        assert isinstance(inner, EventRewriter)
        self.writer = writer
        self._inner = inner
        self._dialect = dialect
        self._read = read
        self._write = writer.write
        self._unreadable: str | None = None
        self._sink: list[bytes] = []
        inner.sink = self._sink

    @property
    def by_lines(self) -> bool:
        return self._inner.by_lines

    @property
    def meaningful(self) -> bool:
        return self._inner.meaningful

    @property
    def progressed(self) -> bool:
        return self._inner.progressed

    @property
    def done(self) -> bool:
        return self._inner.done

    @property
    def finished(self) -> bool:
        return self._inner.finished

    @property
    def said(self) -> int:
        return self._inner.said

    @property
    def error(self) -> bytes | None:
        return self._inner.error

    @property
    def broken(self) -> str | None:
        return self._unreadable or self._inner.broken

    @property
    def events(self) -> int:
        return self._inner.events

    @property
    def malformed(self) -> int:
        return self._inner.malformed

    @property
    def usage(self) -> Usage | None:
        return self._inner.usage

    @property
    def text_tokens(self) -> int:
        return self._inner.text_tokens

    @property
    def ended(self) -> bool:
        return self._unreadable is not None or self._inner.ended

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
        self._inner.feed(chunk)
        return self._translated() if self._sink else b""

    def feed_answer(self, body: bytes) -> bytes:
        self._inner.feed_answer(body)
        return self._translated()

    def end(self) -> bytes:
        self._inner.end()
        return self._translated()

    def finish(self) -> bytes:
        return self.writer.finish(self.usage, self.text_tokens)

    def _translated(self) -> bytes:
        told, read, write = self._sink, self._read, self._write
        out: list[bytes] = []
        if self._unreadable is None:
            try:
                for data in told:
                    for each in read(data):
                        out.append(write(each))  # noqa: PERF401  # what is written stays written
            except (ValueError, RecursionError):
                # msgspec's errors are ValueErrors. The rewriter has let through what it did not
                # have to read; here it means text that the caller would miss without knowing.
                self._unreadable = _UNREADABLE
        told.clear()
        return b"".join(out)
