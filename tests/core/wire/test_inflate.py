from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest

from gateway.core.wire.inflate import (
    PIECE,
    Damaged,
    Inflater,
    UnknownEncoding,
    inflater,
    may_be_packed,
    undeclared,
)

Pack = Callable[[bytes], bytes]


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


FORMS: dict[str, tuple[bytes, Pack]] = {
    "gzip": (b"gzip", gzip.compress),
    "two members": (b"gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    "zeros behind it": (b"gzip", lambda data: gzip.compress(data) + b"\0\0\0"),
    "an old name": (b"X-GZip", gzip.compress),
    "zlib": (b"deflate", zlib.compress),
    "bare deflate": (b"deflate", bare),
    "plain, as a proxy leaves it": (b"gzip", lambda data: data),
    "and identity": (b"identity, gzip", gzip.compress),
}
BODIES = [b"", b"x", b'{"error":{"message":"no"}}', bytes(range(256)) * 40]


@pytest.mark.parametrize(("name", "pack"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("body", BODIES, ids=map(len, BODIES))
def test_every_split_gives_the_same(name: bytes, pack: Pack, body: bytes) -> None:
    packed = pack(body)
    for cut in {0, 1, 2, 3, 9, 10, 11, len(packed) // 2, len(packed) - 1}:
        reader = inflater([(b"content-type", b"x"), (b"content-encoding", name)])
        assert reader is not None
        pieces = [piece for part in (packed[:cut], packed[cut:]) for piece in reader.feed(part)]
        assert b"".join([*pieces, reader.end()]) == body
    reader = Inflater(gzip=name != b"deflate")
    found = [piece for at in range(len(packed)) for piece in reader.feed(packed[at : at + 1])]
    assert b"".join([*found, reader.end()]) == body


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_bomb_is_read_in_bounded_pieces(pack: Pack) -> None:
    packed = pack(bytes(64 * 1024 * 1024))
    assert len(packed) < 80_000
    pieces = Inflater(gzip=pack is gzip.compress).feed(packed)
    # Nothing is inflated that is not asked for.
    assert [len(next(pieces)) for _ in range(3)] == [PIECE] * 3


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "zlib"])
def test_the_first_bytes_tell(pack: Callable[..., bytes], level: int) -> None:
    packed = pack(b"hello", level)
    assert may_be_packed(packed[:1])
    reader = undeclared(packed[:2])
    assert reader is not None
    assert b"".join([*reader.feed(packed), reader.end()]) == b"hello"


def test_zstd_is_told_and_no_more() -> None:
    magic = b"\x28\xb5\x2f\xfd"
    assert all(may_be_packed(magic[:length]) for length in (1, 2, 3))
    with pytest.raises(UnknownEncoding, match="zstd"):
        undeclared(magic + b"\x04")


@pytest.mark.parametrize(
    "start", [b'{"a":1}', b"data: x", b": x", b"<html>", b"(see", b"x^2", b"xyz", b"\xef\xbb\xbf{"]
)
def test_text_is_not_taken_for_compressed(start: bytes) -> None:
    assert undeclared(start) is None
    assert not may_be_packed(start)


@pytest.mark.parametrize("cut", [1, 5, 15, 25])
def test_what_is_cut_gives_what_there_is(cut: int) -> None:
    packed = gzip.compress(b"hello " * 3)
    reader = Inflater(gzip=True)
    found = b"".join([*reader.feed(packed[:cut]), reader.end()])
    assert (b"hello " * 3).startswith(found) or found == packed[:1]


def test_damage_is_told() -> None:
    packed = bytearray(gzip.compress(b"hello" * 100))
    packed[12] ^= 0xFF
    with pytest.raises(Damaged, match="not what its content-encoding says"):
        list(Inflater(gzip=True).feed(bytes(packed)))


@pytest.mark.parametrize("value", [b"br", b"zstd", b"gzip, gzip", b"compress", b"BR"])
def test_other_encodings_are_named(value: bytes) -> None:
    with pytest.raises(UnknownEncoding) as caught:
        inflater([(b"content-encoding", value)])
    assert caught.value.name == value.decode().lower()


def test_a_name_that_is_no_text_is_not_shown() -> None:
    with pytest.raises(UnknownEncoding, match="something unreadable"):
        inflater([(b"content-encoding", b"\x1b[31m")])


@pytest.mark.parametrize("value", [None, b"", b"identity", b" Identity "])
def test_a_plain_body_needs_none(value: bytes | None) -> None:
    headers = [] if value is None else [(b"content-encoding", value)]
    assert inflater(headers) is None
