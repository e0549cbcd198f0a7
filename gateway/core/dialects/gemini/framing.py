"""How the events of a stream follow each other: as SSE, or as the elements of one JSON array.

Google sends SSE where a request has `alt=sse`, which all of its SDKs ask for, and without it a JSON
array whose elements come one after the other (ai.google.dev/api, "Method:
models.streamGenerateContent").
"""

from __future__ import annotations

from typing import Final

from ...wire.sse import SseEvent, encode

_LF: Final = 0x0A
_CR: Final = 0x0D


class Framing:
    """Frames the events of one stream."""

    __slots__ = ("_array", "_begun")

    def __init__(self, *, array: bool) -> None:
        self._array = array
        self._begun = False

    def __repr__(self) -> str:
        return f"<Framing {'array' if self._array else 'SSE'}>"

    def event(self, data: bytes) -> bytes:
        """Return an event with `data`, which is JSON."""
        if self._array:
            head = b",\n" if self._begun else b"["
            self._begun = True
            return head + data
        if _LF in data or _CR in data:
            return encode(SseEvent(data))
        return b"data: %b\n\n" % data

    def end(self) -> bytes:
        """Return what ends a stream: of SSE nothing, since Google's just stops."""
        if not self._array:
            return b""
        return b"\n]" if self._begun else b"[]"

    def failure(self, data: bytes) -> bytes:
        """Return the event that ends a stream badly."""
        return self.event(data) + self.end()
