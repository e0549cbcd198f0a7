"""What the rewriters of all dialects have in common: bytes in, whole SSE events to look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from ..wire.json_scan import InvalidJSON
from ..wire.sse import EventTooLarge, SseDecoder, SseEvent
from .rewriting import EventRewriter

_UNREADABLE: Final = "the provider sent an event that cannot be read"


class SseRewriter(EventRewriter, ABC):
    """The state of a `rewriting.StreamRewriter`, and how its bytes become events."""

    def __init__(self, max_event_bytes: int) -> None:
        super().__init__()
        self._decoder = SseDecoder(max_event_bytes)

    def feed(self, chunk: bytes) -> bytes:
        """Return what the caller gets for `chunk`."""
        if self.ended:
            return b""
        try:
            events = self._decoder.feed(chunk)
        except EventTooLarge as exc:
            output = self._taken(exc.events)
            if not self.ended:
                self.broken = str(exc)
            return output
        return self._taken(events)

    def end(self) -> bytes:
        """Take note that the body has ended: a last event without its blank line counts, too."""
        event = None if self.ended else self._decoder.finish()
        return b"" if event is None or event.data is None else self._taken([event])

    def _taken(self, events: list[SseEvent]) -> bytes:
        try:
            return self._take(events)
        except (InvalidJSON, RecursionError):
            # Nested more deeply than is read where something has to be cut: an answer that cannot
            # be shown is a broken one, and no fault of the gateway's.
            self.malformed += 1
            self.broken = _UNREADABLE
            return b""

    @abstractmethod
    def _take(self, events: list[SseEvent]) -> bytes:
        """Return what the caller gets for `events`."""
