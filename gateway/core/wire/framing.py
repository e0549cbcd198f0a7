"""How long a response's body is, and where in the bytes it lies (RFC 9112 sections 6 and 7).

h11 reads heads here but not bodies: it makes an event object, two buffer moves and a regular
expression match in Python of every chunk, and a provider that streams tokens sends a chunk
for each. These readers take what one `recv` returned and give back the body bytes in it.
They are also stricter than h11, since we know our peers to be HTTP servers: bare CR or LF,
signs or blanks around a size, and unbounded extensions are refused, because whatever two
parsers read differently is how one response is made to look like two.

Every reader has `feed(data)`, which returns body bytes, `eof()`, `done`, and `excess`: more
bytes came than the message has, so that the connection can't carry another one.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Final, Protocol

from ...transport_errors import ConnectionLost, ProtocolViolation

# Extensions are ignored, so long ones have no use. Go bounds them too, after CVE-2023-39326.
MAX_CHUNK_LINE: Final = 1024
# Trailers are dropped: nothing we relay is defined to carry one.
MAX_TRAILERS: Final = 16 * 1024

# chunk-size [ chunk-ext ] CRLF, where chunk-ext = *( BWS ";" ... ). 15 digits stay below 2**60.
_CHUNK_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n",
)
# What may still become one of those when more arrives: garbage is refused without waiting.
_CHUNK_LINE_START: Final = re.compile(
    rb"[0-9A-Fa-f]{0,15}(?:[ \t]*|[ \t]*;[\t\x20-\x7e\x80-\xff]*)\r?",
)
_TRAILER_LINE: Final = re.compile(
    rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n",
)


class BodyReader(Protocol):
    done: bool
    excess: bool

    def feed(self, data: bytes) -> bytes:
        """Return the body bytes in `data`; raise `ProtocolViolation` on wrong framing."""
        ...

    def eof(self) -> None:
        """Say that the peer sends no more; raise `ConnectionLost` if the body is incomplete."""
        ...


class FixedBody:
    """A body of known length; of length 0 where there is none."""

    def __init__(self, length: int) -> None:
        self.done = length == 0
        self.excess = False
        self._missing = length

    def feed(self, data: bytes) -> bytes:
        missing = self._missing
        if len(data) > missing:
            self.excess = True
            data = data[:missing]
        self._missing = missing = missing - len(data)
        self.done = not missing
        return data

    def eof(self) -> None:
        if not self.done:
            raise ConnectionLost(f"the connection ended {self._missing} bytes before the body did")


class BodyUntilClose:
    """A body that the end of the connection ends (RFC 9112 section 6.3, rule 8)."""

    def __init__(self) -> None:
        self.done = False
        self.excess = False

    def feed(self, data: bytes) -> bytes:
        return data

    def eof(self) -> None:
        self.done = True


class _Part(enum.Enum):
    SIZE = "size"
    DATA = "data"
    DATA_END = "data end"
    TRAILERS = "trailers"
    END = "end"


class ChunkedBody:
    def __init__(self) -> None:
        self.done = False
        self.excess = False
        self._part = _Part.SIZE
        self._missing = 0
        self._trailers = 0
        self._held = b""

    def __repr__(self) -> str:
        return f"<ChunkedBody in {self._part.value}, {self._missing} missing>"

    def feed(self, data: bytes) -> bytes:
        if self._held:
            data, self._held = self._held + data, b""
        end = len(data)
        body: list[bytes] = []
        pos = _take_whole(data, body) if self._part is _Part.SIZE else 0
        while pos < end:
            part = self._part
            if part is _Part.DATA:
                stop = pos + self._missing
                body.append(data[pos:stop])
                if stop > end:
                    self._missing = stop - end
                    break
                self._missing = 0
                pos = stop
                self._part = part = _Part.DATA_END
            if part is _Part.DATA_END:
                if not data.startswith(b"\r\n", pos):
                    self._hold_data_end(data, pos)
                    break
                pos += 2
                self._part = part = _Part.SIZE
            if part is _Part.SIZE:
                if (line := _CHUNK_LINE.match(data, pos)) is None:
                    self._hold_chunk_line(data, pos)
                    break
                if line.end() - pos > MAX_CHUNK_LINE:
                    raise ProtocolViolation("a chunk's extensions are too long")
                pos = line.end()
                self._missing = int(line[1], 16)
                self._part = _Part.DATA if self._missing else _Part.TRAILERS
            elif (pos := self._skip_trailer(data, pos)) == -1:
                break
        return body[0] if len(body) == 1 else b"".join(body)

    def eof(self) -> None:
        if not self.done:
            raise ConnectionLost("the connection ended before the last chunk")

    # Keeping what is not whole yet...

    def _hold_data_end(self, data: bytes, pos: int) -> None:
        # Only a lone CR can be the beginning of CRLF; one byte more must decide.
        if data[pos:] not in (b"", b"\r"):
            raise ProtocolViolation("a chunk is longer than its size says")
        self._held = data[pos:]

    def _hold_chunk_line(self, data: bytes, pos: int) -> None:
        if len(data) - pos > MAX_CHUNK_LINE:
            raise ProtocolViolation("a chunk's size line is too long or illegal")
        self._held = data[pos:]
        if _CHUNK_LINE_START.fullmatch(self._held) is None:
            raise ProtocolViolation("a chunk's size line is illegal")

    def _skip_trailer(self, data: bytes, pos: int) -> int:
        """Return where the next line begins, or -1 if nothing more is to be done."""
        if self._part is _Part.END:
            self.excess = True
            return -1
        if data.startswith(b"\r\n", pos):
            self._part = _Part.END
            self.done = True
            return pos + 2
        line = _TRAILER_LINE.match(data, pos)
        stop = line.end() if line else len(data)
        if self._trailers + stop - pos > MAX_TRAILERS:
            raise ProtocolViolation("the trailers are too long")
        if line is None:
            if b"\n" in data[pos:]:
                raise ProtocolViolation("a trailer is illegal")
            self._held = data[pos:]
            return -1
        self._trailers += stop - pos
        return stop


def _take_whole(data: bytes, body: list[bytes]) -> int:
    """Move the chunks that are all there into `body`; return where the rest begins.

    A burst is mostly these, and this loop without states takes half the time for them. What
    is cut off, illegal or the end is left to the states.
    """
    pos = 0
    while (line := _CHUNK_LINE.match(data, pos)) is not None:
        start = line.end()
        size = int(line[1], 16)
        stop = start + size
        if not size or data[stop : stop + 2] != b"\r\n" or start - pos > MAX_CHUNK_LINE:
            break
        body.append(data[start:stop])
        pos = stop + 2
    return pos


def frame(
    method: bytes,
    status: int,
    http_version: bytes,
    headers: Sequence[tuple[bytes, bytes]],
) -> tuple[BodyReader, bool]:
    """Return the reader of a response's body, and whether the connection may be used again.

    Implements RFC 9112 section 6.3. Relies on the head's parser for `content-length` values
    that are numbers and agree. Raises `ProtocolViolation`.
    """
    length: int | None = None
    chunked = close = keep_alive = False
    for name, value in headers:
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise ProtocolViolation("only `transfer-encoding: chunked` is understood")
            chunked = True
        elif name == b"connection":
            options = [option.strip() for option in value.lower().split(b",")]
            close = close or b"close" in options
            keep_alive = keep_alive or b"keep-alive" in options
    old = http_version < b"1.1"
    if chunked and old:
        # "A server or client that receives an HTTP/1.0 message containing a
        # Transfer-Encoding header field MUST treat the message as if the framing is faulty"
        # (RFC 9112 section 6.1).
        raise ProtocolViolation("an HTTP/1.0 response has a transfer-encoding")
    if chunked and length is not None:
        # "Such a message might indicate an attempt to perform request smuggling or response
        # splitting and ought to be handled as an error" (RFC 9112 section 6.3).
        raise ProtocolViolation("a response has both content-length and transfer-encoding")
    reusable = not close and (keep_alive or not old)
    if method == b"HEAD" or status in (204, 304):
        return FixedBody(0), reusable
    if chunked:
        return ChunkedBody(), reusable
    if length is not None:
        return FixedBody(length), reusable
    return BodyUntilClose(), False
