"""The bytes of one answer: its head, the framing of its body, and whether the connection lives on.

h11 does the same for ten times the price (250 us of the 2,700 that a short request took), most of
it for events that are made to be taken apart again. `tests/serve/test_response_writer.py` holds
both against each other, byte for byte. What clients send is still read by h11.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

HeaderPair = tuple[bytes, bytes]

# RFC 9110 section 5.6.2: `token`; and section 5.5, as h11 reads it (`_abnf.py`): anything but NUL
# and white space, with blanks and tabs in between.
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIELDS: Final = re.compile(rb"(?:[^:\s]+: (?:[^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?\r\n)*")
# What no value has in it, and what stands where one begins or ends with a blank. A blank may be
# there for another reason too, an empty value, say: then `_FIELDS` decides, for five times as long.
_NEVER: Final = b"\0\r\n\v\f"
_DOUBTFUL: Final = (b":  ", b": \t", b" \r\n", b"\t\r\n")
_LENGTH: Final = re.compile(rb"[0-9]{1,20}")
_BODILESS: Final = frozenset({204, 304})
_CONNECTION: Final = b"connection"
_CHUNKED: Final = (b"Transfer-Encoding", b"chunked")
_STATUS_LINES: Final = {status: b"HTTP/1.1 %d \r\n" % status for status in range(200, 1000)}


class ResponseWriter:
    """`close` says that the client wants the connection closed, or speaks HTTP/1.0 (`old`).

    Everything is to be called in ASGI's order, which is the caller's to see to. Raises
    `RuntimeError` for what can't be sent; nothing of the answer may follow.
    """

    __slots__ = ("_close", "_head_only", "_left", "_old", "bodiless", "chunked")

    def __init__(self, *, head_only: bool, old: bool, close: bool) -> None:
        # There is no body, whatever the headers say of it.
        self.bodiless = head_only
        self.chunked = False
        self._head_only = head_only
        self._old = old
        self._close = close or old
        # How much of the body is still to come; None if its length was not said.
        self._left: int | None = None

    @property
    def keeps_alive(self) -> bool:
        """Whether another answer may follow this one."""
        return not self._close

    def begin(self, status: int, headers: Sequence[HeaderPair]) -> bytes:
        """Return the head."""
        if status not in _STATUS_LINES:
            raise RuntimeError(f"{status} is no status of a response")
        names = b"".join([b"\n%b" % name for name, _ in headers]) + b"\n"
        # An empty name, or one with a line break in it, makes other lines than one for each.
        if names.translate(None, _TOKEN) != b"\n" * (len(headers) + 1) or b"\n\n" in names:
            raise RuntimeError("A header field has a name that can't be sent")
        names = names.lower()
        fields, length = _framed(headers, names)
        sized = status in _BODILESS or length is not None
        self.bodiless = self._head_only or status in _BODILESS
        if not sized:
            if not self._old:
                fields.append(_CHUNKED)
                self.chunked = not self.bodiless
            elif not self._head_only:
                self._close = True
        self._left = 0 if self.bodiless else length
        if self._close:
            fields = _closing(fields)
        elif b"\nconnection\n" in names:
            self._close = any(b"close" in _options(*field) for field in fields)
        return _STATUS_LINES[status] + _render(fields)

    def data(self, body: bytes) -> bytes:
        """Return a part of the body, framed."""
        if self.chunked:
            return b"%x\r\n%b\r\n" % (len(body), body)
        self.count(len(body))
        return body

    def count(self, size: int) -> None:
        """Count what is sent of the body without `data`."""
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise RuntimeError("The body is longer than its Content-Length")

    def end(self) -> bytes:
        """Return what ends the body."""
        if self.chunked:
            return b"0\r\n\r\n"
        if self._left:
            raise RuntimeError("The body is shorter than its Content-Length")
        return b""


def _framed(headers: Sequence[HeaderPair], names: bytes) -> tuple[list[HeaderPair], int | None]:
    """Return the fields without Transfer-Encoding, which is ours to say, and the body's length.

    `names` are those of the headers, in lower case, with a line break before and behind each.
    """
    chunked = b"\ntransfer-encoding\n" in names
    at = names.find(b"\ncontent-length\n")
    if not chunked:
        if at < 0:
            return list(headers), None
        if names.find(b"\ncontent-length\n", at + 1) < 0:
            return list(headers), _length(headers[names.count(b"\n", 0, at)][1])
    fields: list[HeaderPair] = []
    length: bytes | None = None
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise RuntimeError("Only Transfer-Encoding: chunked can be sent")
        elif lowered != b"content-length":
            fields.append((name, value))
        elif length is not None and length != value:
            raise RuntimeError("There are two Content-Lengths")
        elif length is None:
            _length(value)
            length = value
            if not chunked:
                fields.append((name, value))
    return fields, None if chunked or length is None else int(length)


def _length(value: bytes) -> int:
    if _LENGTH.fullmatch(value) is None:
        raise RuntimeError("The Content-Length is no number")
    return int(value)


def _render(fields: list[HeaderPair]) -> bytes:
    block = b"".join([b"%b: %b\r\n" % field for field in fields])
    if len(block.translate(None, _NEVER)) != len(block) - 2 * len(fields) or (
        any(map(block.__contains__, _DOUBTFUL)) and _FIELDS.fullmatch(block) is None
    ):
        raise RuntimeError("A header field has a value that can't be sent")
    return block + b"\r\n"


def _options(name: bytes, value: bytes) -> list[bytes]:
    """Return what a Connection field says; nothing of any other."""
    if name.lower() != _CONNECTION:
        return []
    return [option.strip() for option in value.lower().split(b",") if option.strip()]


def _closing(fields: list[HeaderPair]) -> list[HeaderPair]:
    options = {b"close", *(option for field in fields for option in _options(*field))}
    kept = [field for field in fields if field[0].lower() != b"connection"]
    return [*kept, *((b"Connection", option) for option in sorted(options - {b"keep-alive"}))]
