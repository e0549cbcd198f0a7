"""Frames of Amazon's event streams, held against botocore's own reader of them."""

from __future__ import annotations

import struct
from binascii import crc32
from typing import Final

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.wire.binary.event_stream import BadFrame, Frame, FrameDecoder, encode_frame

HEADERS: Final = {":event-type": "contentBlockDelta", ":message-type": "event", "é": "ü"}
FRAMES: Final = st.lists(
    st.tuples(
        st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40), max_size=4),
        st.binary(max_size=200),
    ),
    max_size=6,
)


def whole(frames: list[tuple[dict[str, str], bytes]]) -> bytes:
    return b"".join([encode_frame(headers, payload) for headers, payload in frames])


def framed(fields: bytes, payload: bytes = b"{}") -> bytes:
    """Return a frame with `fields` as its headers, whatever they are."""
    lengths = struct.pack("!II", 16 + len(fields) + len(payload), len(fields))
    prelude = lengths + struct.pack("!I", crc32(lengths))
    return (body := prelude + fields + payload) + struct.pack("!I", crc32(body))


@given(FRAMES, st.integers(1, 300))
def test_any_chunking_is_the_same(frames: list[tuple[dict[str, str], bytes]], size: int) -> None:
    stream = whole(frames)
    decoder = FrameDecoder()
    found: list[Frame] = []
    for start in range(0, len(stream), size):
        found += decoder.feed(stream[start : start + size])
    assert [(each.headers, each.payload) for each in found] == frames
    assert b"".join(each.raw for each in found) == stream
    assert decoder.pending == 0


@given(FRAMES)
def test_botocore_reads_what_is_written(frames: list[tuple[dict[str, str], bytes]]) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(whole(frames))
    assert [(each.headers, each.payload) for each in buffer] == frames


def test_headers_of_every_type_are_passed_over_but_for_strings() -> None:
    fields = b"".join(
        bytes([1]) + name + bytes([kind]) + value
        for name, kind, value in (
            (b"a", 0, b""),
            (b"b", 1, b""),
            (b"c", 2, b"\1"),
            (b"d", 3, b"\0\1"),
            (b"e", 4, bytes(4)),
            (b"f", 5, bytes(8)),
            (b"g", 6, b"\0\3abc"),
            (b"h", 7, b"\0\3abc"),
            (b"i", 8, bytes(8)),
            (b"j", 9, bytes(16)),
        )
    )
    (frame,) = FrameDecoder().feed(framed(fields))
    assert frame.headers == {"h": "abc"}
    assert frame.payload == b"{}"


def test_a_changed_byte_is_never_passed_on() -> None:
    first, second = encode_frame(HEADERS, b'{"a":1}'), encode_frame(HEADERS, b'{"b":2}')
    for place in range(len(second)):
        damaged = bytearray(second)
        damaged[place] ^= 0x41
        decoder = FrameDecoder(1 << 20)
        try:
            found = decoder.feed(first + bytes(damaged))
        except BadFrame as exc:
            found = exc.frames
        assert [each.payload for each in found] == [b'{"a":1}'], place


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (framed(b"\x01a\x0a"), "cannot be read"),
        (framed(b"\x05a"), "cannot be read"),
        (framed(b"\x01a\x07\x00\x09ab"), "cut off"),
        (framed(b"\x01a\x07\x00\x01\xff"), "cannot be read"),
        (struct.pack("!III", 15, 0, crc32(struct.pack("!II", 15, 0))) + bytes(4), "contradict"),
        (struct.pack("!III", 20, 9, crc32(struct.pack("!II", 20, 9))) + bytes(8), "contradict"),
        (struct.pack("!III", 2000, 0, crc32(struct.pack("!II", 2000, 0))), "larger than 1000"),
        (b"data: {}\n\n      ", "checksum"),
    ],
)
def test_what_is_no_frame_says_why(data: bytes, why: str) -> None:
    with pytest.raises(BadFrame, match=why):
        FrameDecoder(1000).feed(data)
