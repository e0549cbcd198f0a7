"""What the rewriters of all dialects have in common: bytes in, whole SSE events to look at."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..wire.sse import EventTooLarge, SseDecoder, SseEvent


class SseRewriter(ABC):
    """The state of a `rewriting.StreamRewriter`, and how its bytes become events.

    With a `sink` the data of events go there, and their bytes nowhere: a translation reads them.
    """

    # Of streams in which the dialect has no use for it.
    progressed = False
    kept_ids: tuple[str, ...] = ()
    foreign_error = None

    def __init__(self, max_event_bytes: int) -> None:
        self.meaningful = False
        self.done = False
        self.finished = False
        self.said = 0
        self.error: bytes | None = None
        self.broken: str | None = None
        self.events = 0
        self.malformed = 0
        self.sink: list[bytes] | None = None
        self._decoder = SseDecoder(max_event_bytes)

    @property
    def ended(self) -> bool:
        """Say whether there is nothing more to be had from the stream."""
        return self.done or self.error is not None or self.broken is not None

    def feed(self, chunk: bytes) -> bytes:
        """Return what the caller gets for `chunk`."""
        if self.ended:
            return b""
        try:
            events = self._decoder.feed(chunk)
        except EventTooLarge as exc:
            output = self._take(exc.events)
            if not self.ended:
                self.broken = str(exc)
            return output
        return self._take(events)

    def end(self) -> bytes:
        """Take note that the body has ended: a last event without its blank line counts, too."""
        event = None if self.ended else self._decoder.finish()
        return b"" if event is None or event.data is None else self._take([event])

    @abstractmethod
    def _take(self, events: list[SseEvent]) -> bytes:
        """Return what the caller gets for `events`."""
