"""What a dialect makes of the answers of providers: whole ones, and streams."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ..records.usage import Usage
from .text_meter import TextMeter


class NotAnAnswer(ValueError):
    """A 2xx body that is no answer.

    `error` is the error that it reports instead, as JSON. `final` says that the provider has
    generated an answer and would send another in the same form.
    """

    def __init__(self, message: str, *, error: bytes | None = None, final: bool = False) -> None:
        super().__init__(message)
        self.error = error
        self.final = final


class Answer(msgspec.Struct, frozen=True):
    """A whole answer as the caller gets it; `usage` None: the provider reported none.

    `text_tokens` is about how many tokens its text has, where the usage does not say it, and
    `kept_ids` are the ids under which the provider keeps it for requests that go on from it.
    """

    body: bytes
    usage: Usage | None
    text_tokens: int = 0
    kept_ids: tuple[str, ...] = ()


class StreamRewriter(Protocol):
    """Rewrites one stream.

    After each `feed`: `meaningful` says whether content has come, `progressed` whether the
    provider has told before that how far it is, `done` whether it has said that the stream is
    over, `finished` whether all answers in it are complete. `said` counts what moves the answer
    on: content, ends and usage, and no comments or pings. A failed stream has the data of its
    error event in `error`, or in `broken` why it cannot be read any further. Nothing is read
    beyond `done`, `error` or `broken`. `kept_ids` are as in `Answer`.
    """

    @property
    def by_lines(self) -> bool:
        """Say whether the stream is a JSON object in each line, and no events."""
        ...

    @property
    def meaningful(self) -> bool: ...

    @property
    def progressed(self) -> bool: ...

    @property
    def done(self) -> bool: ...

    @property
    def finished(self) -> bool: ...

    @property
    def said(self) -> int: ...

    @property
    def error(self) -> bytes | None: ...

    @property
    def broken(self) -> str | None: ...

    @property
    def events(self) -> int: ...

    @property
    def malformed(self) -> int: ...

    @property
    def kept_ids(self) -> tuple[str, ...]: ...

    @property
    def usage(self) -> Usage | None:
        """Return what the provider has reported so far; None: nothing."""
        ...

    @property
    def text_tokens(self) -> int:
        """Return about how many tokens the text has that has come so far."""
        ...

    @property
    def foreign_error(self) -> tuple[str, str] | None:
        """Return the message and the code of `error` if that is not in the caller's dialect."""
        ...

    @property
    def ended(self) -> bool:
        """Say whether there is nothing more to be had from the stream."""
        ...

    @property
    def awaits_usage(self) -> bool:
        """Say whether the provider was asked for usage and has not reported any yet."""
        ...

    def feed(self, chunk: bytes) -> bytes:
        """Return what the caller gets for `chunk`."""
        ...

    def feed_answer(self, body: bytes) -> bytes:
        """Return what the caller gets for a whole answer, which came instead of a stream.

        Raises NotAnAnswer.
        """
        ...

    def end(self) -> bytes:
        """Take note that the body has ended; return what the caller gets for an event that the
        end has completed. Idempotent."""
        ...

    def finish(self) -> bytes:
        """Return the bytes that make a whole stream complete; asked once, at its end."""
        ...


class EventRewriter:
    """The state of a `rewriting.StreamRewriter`.

    With a `sink` the data of events go there, and their bytes nowhere: a translation reads them.
    """

    # Of streams in which the dialect has no use for it.
    progressed = False
    by_lines = False
    kept_ids: tuple[str, ...] = ()
    foreign_error = None
    # Whoever counts text otherwise has no use for it.
    _text: TextMeter

    def __init__(self) -> None:
        self.meaningful = False
        self.done = False
        self.finished = False
        self.said = 0
        self.error: bytes | None = None
        self.broken: str | None = None
        self.events = 0
        self.malformed = 0
        self.sink: list[bytes] | None = None

    @property
    def text_tokens(self) -> int:
        """Return about how many tokens of text have come so far."""
        return self._text.tokens

    @property
    def ended(self) -> bool:
        """Say whether there is nothing more to be had from the stream."""
        return self.done or self.error is not None or self.broken is not None
