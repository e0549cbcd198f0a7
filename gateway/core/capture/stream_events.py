"""A kept stream as events, in whichever form it was sent.

Server-sent events; binary frames (Amazon's event streams), each an event by its type; or a JSON
object in each line (Ollama's), each an event without a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..wire.binary.event_stream import BadFrame, FrameDecoder
from ..wire.sse import SseDecoder, SseEvent
from .capture import Capture

# How a frame begins that has less than 16 MiB, and an object: no event as text does.
_FRAME: Final = b"\0"
_OBJECT: Final = b"{"
_NAMES: Final = (":event-type", ":exception-type", ":error-code")

TimedEvents = Iterator[tuple[float, SseEvent]]


class StreamEvents:
    """Yields the events of a stream, each with its time; `rest` then is what no event ends."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self.rest = b""

    def __iter__(self) -> TimedEvents:
        first = bytes(self._capture.answer[:1])
        if first == _FRAME:
            return self._frames()
        return self._lines() if first == _OBJECT else self._sse()

    def _sse(self) -> TimedEvents:
        answer = self._capture.answer
        # No event is larger than all that was kept.
        decoder = SseDecoder(max_event_bytes=len(answer) + 1)
        for at, piece in self._capture.pieces():
            for event in decoder.feed(piece):
                yield at, event
        if pending := decoder.pending:
            # Counted with LF line ends, so a CRLF may be twice as long here.
            text = bytes(answer[-2 * pending :])
            self.rest = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")[-pending:]

    def _lines(self) -> TimedEvents:
        held = bytearray()
        for at, piece in self._capture.pieces():
            held += piece
            if b"\n" not in piece:
                continue
            *lines, rest = bytes(held).split(b"\n")
            held = bytearray(rest)
            for line in lines:
                if data := line.strip():
                    yield at, SseEvent(data)
        self.rest = bytes(held).strip()

    def _frames(self) -> TimedEvents:
        """Yield the events of binary frames by their names; what is no frame is not kept."""
        decoder = FrameDecoder()
        for at, piece in self._capture.pieces():
            bad = False
            try:
                frames = decoder.feed(piece)
            except BadFrame as exc:
                frames, bad = exc.frames, True
            for frame in frames:
                name = next((frame.headers[each] for each in _NAMES if each in frame.headers), "")
                yield at, SseEvent(frame.payload, name.encode())
            if bad:
                return
