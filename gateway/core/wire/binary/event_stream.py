"""Amazon's event streams: binary frames with checksums, in and out.

    total length   headers length   checksum of both   headers   payload   checksum of all before
      4 bytes         4 bytes           4 bytes                               4 bytes

Integers are big-endian, checksums CRC-32 (smithy.io/2.0/aws/amazon-eventstream.html, "Amazon Event
Stream Specification"). A header is the length of its name in one byte, the name, its type in one
byte, and the value; the headers that say what a frame is are strings.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final
from zlib import crc32

import msgspec

# The specification's own bounds: of a payload, and of all headers.
MAX_PAYLOAD: Final = 24 * 1024 * 1024
MAX_HEADERS: Final = 128 * 1024
_PRELUDE: Final = struct.Struct("!III")
_LENGTHS: Final = struct.Struct("!II")
_CHECKSUM: Final = struct.Struct("!I")
# What is not payload: the prelude, and the checksum at the end.
_AROUND: Final = _PRELUDE.size + _CHECKSUM.size
_STRING: Final = 7
_BYTES: Final = 6
# The sizes of values by their type: true, false, byte, short, integer, long, (6 and 7 have a length
# of their own), timestamp, UUID.
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class Frame(msgspec.Struct, gc=False):
    """One message: `raw` is all of it, `headers` are those whose values are strings."""

    raw: bytes
    headers: dict[str, str]
    payload: bytes


class BadFrame(Exception):
    """A stream that cannot be read any further. `frames` are those that were complete before."""

    def __init__(self, message: str, frames: list[Frame]) -> None:
        super().__init__(message)
        self.frames = frames


class FrameDecoder:
    """Cut a stream into frames; how it was cut into chunks makes no difference.

    After `BadFrame` the decoder is of no further use.
    """

    def __init__(self, max_frame_bytes: int = MAX_PAYLOAD + MAX_HEADERS) -> None:
        self._limit = max_frame_bytes
        self._buffer = bytearray()

    def __repr__(self) -> str:
        return f"<FrameDecoder {self.pending} bytes pending>"

    @property
    def pending(self) -> int:
        """Return how many bytes of an unfinished frame are held."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes. Raises `BadFrame`."""
        buffer = self._buffer
        buffer += chunk
        found: list[Frame] = []
        start = 0
        try:
            while len(buffer) - start >= _PRELUDE.size:
                size = self._size(buffer, start)
                if len(buffer) - start < size:
                    break
                found.append(_read(bytes(memoryview(buffer)[start : start + size])))
                start += size
        except ValueError as exc:
            raise BadFrame(str(exc), found) from exc
        del buffer[:start]
        return found

    def _size(self, buffer: bytearray, start: int) -> int:
        """Return the length of the frame that begins at `start`."""
        total, headers, checksum = _PRELUDE.unpack_from(buffer, start)
        size: int = total
        if crc32(memoryview(buffer)[start : start + _LENGTHS.size]) != checksum:
            raise ValueError("the beginning of a frame does not have its checksum")
        if size > self._limit:
            raise ValueError(f"a frame is larger than {self._limit} bytes")
        if size < _AROUND + headers or headers > MAX_HEADERS:
            raise ValueError("the lengths of a frame contradict each other")
        return size


def frames_in(data: bytes) -> list[Frame] | None:
    """Return the frames that `data` consists of; None for anything but whole frames."""
    if len(data) < _AROUND or crc32(data[: _LENGTHS.size]) != _PRELUDE.unpack_from(data)[2]:
        return None
    decoder = FrameDecoder(len(data))
    try:
        frames = decoder.feed(data)
    except BadFrame:
        return None
    return None if decoder.pending else frames


def encode_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return the frame that has `payload` and these headers, all of them strings."""
    fields = b"".join([_header(name, value) for name, value in headers.items()])
    lengths = _LENGTHS.pack(_AROUND + len(fields) + len(payload), len(fields))
    prelude = lengths + _CHECKSUM.pack(crc32(lengths))
    whole = prelude + fields + payload
    return whole + _CHECKSUM.pack(crc32(whole))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return b"%c%b%c%b%b" % (len(key), key, _STRING, struct.pack("!H", len(text)), text)


def _read(raw: bytes) -> Frame:
    end = len(raw) - _CHECKSUM.size
    if crc32(memoryview(raw)[:end]) != _CHECKSUM.unpack_from(raw, end)[0]:
        raise ValueError("a frame does not have its checksum")
    begin = _PRELUDE.size + _LENGTHS.unpack_from(raw)[1]
    return Frame(raw, _headers(raw[_PRELUDE.size : begin]), raw[begin:end])


def _headers(data: bytes) -> dict[str, str]:
    """Return the headers that are strings. Raises ValueError."""
    found: dict[str, str] = {}
    place = 0
    try:
        while place < len(data):
            name_end = place + 1 + data[place]
            name, kind = data[place + 1 : name_end], data[name_end]
            place = name_end + 1
            if kind in (_STRING, _BYTES):
                size = int.from_bytes(data[place : place + 2])
                place += 2
                if kind == _STRING:
                    found[name.decode()] = data[place : place + size].decode()
            else:
                size = _SIZES[kind]
            place += size
    except (IndexError, KeyError, UnicodeDecodeError) as exc:
        raise ValueError("the headers of a frame cannot be read") from exc
    if place != len(data):
        raise ValueError("the headers of a frame are cut off")
    return found
