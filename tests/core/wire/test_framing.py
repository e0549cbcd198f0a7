from __future__ import annotations

import itertools

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.wire.framing import (
    MAX_CHUNK_LINE,
    MAX_TRAILERS,
    BodyReader,
    BodyUntilClose,
    ChunkedBody,
    FixedBody,
    frame,
)
from gateway.transport_errors import ConnectionLost, ProtocolViolation

WIRE = b"4\r\nWiki\r\n5;ext=1\r\npedia\r\nD\r\n in\r\n\r\nchunks\r\n0\r\nx-sum: 1\r\n\r\n"
TEXT = b"Wikipedia in\r\n\r\nchunks"


def feed(reader: BodyReader, *pieces: bytes) -> bytes:
    return b"".join([reader.feed(piece) for piece in pieces])


def by_h11(wire: bytes) -> bytes:
    """Return the body as h11 reads it."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + wire)
    body = b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        assert event is not h11.NEED_DATA
        if isinstance(event, h11.Data):
            body += event.data
    return body


def test_reads_chunks_as_h11_does() -> None:
    assert by_h11(WIRE) == TEXT
    reader = ChunkedBody()
    assert (reader.feed(WIRE), reader.done, reader.excess) == (TEXT, True, False)


@pytest.mark.parametrize("cut", range(len(WIRE) + 1))
def test_every_split(cut: int) -> None:
    reader = ChunkedBody()
    assert feed(reader, WIRE[:cut], WIRE[cut:]) == TEXT
    assert reader.done
    assert not reader.excess


def test_byte_by_byte_is_done_with_the_last_byte_only() -> None:
    reader = ChunkedBody()
    body = b""
    for position in range(len(WIRE)):
        assert not reader.done
        body += reader.feed(WIRE[position : position + 1])
    assert (body, reader.done, reader.excess) == (TEXT, True, False)


@pytest.mark.parametrize("cut", range(len(WIRE) + 2))
def test_bytes_after_the_end_are_excess(cut: int) -> None:
    reader = ChunkedBody()
    wire = WIRE + b"HTTP"
    assert feed(reader, wire[:cut], wire[cut:]) == TEXT
    assert reader.done
    assert reader.excess


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=20),
    cuts=st.lists(st.integers(0, 4000), max_size=10),
    upper=st.booleans(),
)
def test_any_body_in_any_pieces(chunks: list[bytes], cuts: list[int], upper: bool) -> None:
    size = b"%X\r\n" if upper else b"%x\r\n"
    wire = b"".join(size % len(chunk) + chunk + b"\r\n" for chunk in chunks) + b"0\r\n\r\n"
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    reader = ChunkedBody()
    pieces = [wire[a:b] for a, b in itertools.pairwise(edges)]
    assert feed(reader, *pieces) == b"".join(chunks) == by_h11(wire)
    assert reader.done
    assert not reader.excess


@given(wire=st.binary(max_size=60), cut=st.integers(0, 60))
def test_garbage_reads_the_same_in_one_piece_or_two(wire: bytes, cut: int) -> None:
    def outcome(*pieces: bytes) -> tuple[bool, bool]:
        reader = ChunkedBody()
        try:
            feed(reader, *pieces)
        except ProtocolViolation:
            return False, False
        return True, reader.done

    assert outcome(wire) == outcome(wire[:cut], wire[cut:])


ILLEGAL = [
    b"\r\n",
    b"x\r\n",
    b"-1\r\n",
    b"+4\r\nWiki\r\n",
    b"0x4\r\nWiki\r\n",
    b"1_0\r\n",
    b" 4\r\nWiki\r\n",
    b"4 \r\nWiki\r\n",
    b"4\nWiki\n",
    b"4\rWiki",
    b"4;a\nb\r\nWiki\r\n",
    b"4;a\rb\r\nWiki\r\n",
    b"4;a\x00\r\nWiki\r\n",
    b"4\r\nWikiX\r\n",
    b"4\r\nWiki\n\n",
    b"4\r\nWiki\rX",
    b"1000000000000000\r\n",
    b"0\r\nnot a trailer\r\n\r\n",
    b"0\r\na: b\n\r\n",
    b"0\r\n: b\r\n\r\n",
    b"4;" + b"a" * MAX_CHUNK_LINE + b"\r\nWiki\r\n",
    b"4;" + b"a" * MAX_CHUNK_LINE,
    b"0\r\n" + b"a: b\r\n" * (MAX_TRAILERS // 6 + 1),
    b"0\r\na: " + b"b" * MAX_TRAILERS,
]


@pytest.mark.parametrize("wire", ILLEGAL, ids=lambda wire: repr(wire[:20]))
def test_illegal_chunks(wire: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        ChunkedBody().feed(wire)
    reader = ChunkedBody()
    with pytest.raises(ProtocolViolation):
        feed(reader, *[wire[i : i + 1] for i in range(len(wire))])


@pytest.mark.parametrize("cut", range(len(WIRE)))
def test_chunks_that_end_early(cut: int) -> None:
    reader = ChunkedBody()
    reader.feed(WIRE[:cut])
    with pytest.raises(ConnectionLost):
        reader.eof()


def test_fixed_length() -> None:
    reader = FixedBody(5)
    assert (reader.feed(b"abc"), reader.done) == (b"abc", False)
    with pytest.raises(ConnectionLost, match="2 bytes"):
        reader.eof()
    assert (reader.feed(b"defg"), reader.done, reader.excess) == (b"de", True, True)
    empty = FixedBody(0)
    assert (empty.done, empty.excess) == (True, False)
    assert (empty.feed(b"x"), empty.excess) == (b"", True)


def test_until_close() -> None:
    reader = BodyUntilClose()
    assert (reader.feed(b"abc"), reader.done) == (b"abc", False)
    reader.eof()
    assert reader.done


CL, TE = (b"content-length", b"5"), (b"transfer-encoding", b"Chunked")
CLOSE, KEEP = (b"connection", b"x, Close"), (b"connection", b"Keep-Alive")
FRAMES = [
    (b"GET", 200, b"1.1", [CL], FixedBody, True),
    (b"GET", 200, b"1.1", [TE], ChunkedBody, True),
    (b"GET", 200, b"1.1", [], BodyUntilClose, False),
    (b"GET", 200, b"1.1", [CL, CLOSE], FixedBody, False),
    (b"GET", 200, b"1.1", [CL, CLOSE, KEEP], FixedBody, False),
    (b"GET", 200, b"1.0", [CL], FixedBody, False),
    (b"GET", 200, b"1.0", [CL, KEEP], FixedBody, True),
    (b"GET", 200, b"1.0", [KEEP], BodyUntilClose, False),
]


@pytest.mark.parametrize(("method", "status", "version", "headers", "kind", "keep"), FRAMES)
def test_frame(
    method: bytes,
    status: int,
    version: bytes,
    headers: list[tuple[bytes, bytes]],
    kind: type,
    keep: bool,
) -> None:
    reader, reusable = frame(method, status, version, headers)
    assert (type(reader), reusable, reader.done) == (kind, keep, False)


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_no_body_whatever_the_headers(method: bytes, status: int) -> None:
    reader, reusable = frame(method, status, b"1.1", [CL])
    assert reader.done
    assert reusable


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        (b"1.1", [TE, CL]),
        (b"1.1", [TE, TE]),
        (b"1.1", [(b"transfer-encoding", b"gzip, chunked")]),
        (b"1.1", [(b"transfer-encoding", b"identity")]),
        (b"1.0", [TE, KEEP]),
    ],
)
def test_ambiguous_framing_is_refused(version: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ProtocolViolation):
        frame(b"GET", 200, version, headers)
