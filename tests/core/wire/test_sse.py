from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.wire.sse import (
    EventTooLarge,
    SseDecoder,
    SseEvent,
    begins,
    encode,
    looks_like_events,
)

BOM = b"\xef\xbb\xbf"


def decode(*chunks: bytes) -> list[SseEvent]:
    decoder = SseDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def reference(stream: bytes) -> list[SseEvent]:
    """Read a whole stream by the letter of WHATWG HTML section 9.2.6, slowly."""
    lines = re.split(rb"\r\n|\r|\n", stream.removeprefix(BOM))
    lines.pop()  # not ended, so not a line
    events: list[SseEvent] = []
    data: list[bytes] = []
    comments: list[bytes] = []
    fields: dict[bytes, bytes] = {}
    for line in lines:
        if line == b"":
            if data or comments:
                events.append(
                    SseEvent(
                        b"\n".join(data) if data else None,
                        fields.get(b"event", b""),
                        fields.get(b"id"),
                        fields.get(b"retry"),
                        b"\n".join(comments),
                    )
                )
            data, comments, fields = [], [], {}
        elif line[:1] == b":":
            comments.append(line)
        else:
            match = re.fullmatch(rb"([^:]+)(?:: ?(.*))?", line, re.DOTALL)
            assert match is not None
            name, value = match[1], match[2] or b""
            if name == b"data":
                data.append(value)
            elif (
                name == b"event"
                or (name == b"id" and b"\0" not in value)
                or (name == b"retry" and re.fullmatch(rb"[0-9]+", value))
            ):
                fields[name] = value
    return events


def splits(stream: bytes) -> Iterator[list[bytes]]:
    """Cut a stream in every way that has found bugs before."""
    yield [stream]
    yield [stream[at : at + 1] for at in range(len(stream))]
    for cut in range(len(stream) + 1):
        yield [stream[:cut], stream[cut:]]
        yield [stream[:cut], b"", stream[cut : cut + 1], stream[cut + 1 :]]
    rng = random.Random(stream)
    for size in (2, 3, 7, 20):
        chunks, at = [], 0
        while at < len(stream):
            step = rng.randint(0, size)
            chunks.append(stream[at : at + step])
            at += step
        yield chunks


# The first four are the examples of WHATWG HTML section 9.2.6.
CASES: dict[str, tuple[bytes, list[SseEvent]]] = {
    "stock": (
        b"data: YHOO\ndata: +2\ndata: 10\n\n",
        [SseEvent(b"YHOO\n+2\n10")],
    ),
    "four blocks": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event",
        [
            SseEvent(None, comments=b": test stream"),
            SseEvent(b"first event", id=b"1"),
            SseEvent(b"second event", id=b""),
        ],
    ),
    "empty data dispatches": (
        b"data\n\ndata\ndata\n\ndata:",
        [SseEvent(b""), SseEvent(b"\n")],
    ),
    "one space goes": (b"data:test\n\ndata: test\n\n", [SseEvent(b"test"), SseEvent(b"test")]),
    "two spaces": (b"data:  x\n\n", [SseEvent(b" x")]),
    "byte order mark": (BOM + b"data: x\n\n", [SseEvent(b"x")]),
    "only one byte order mark": (BOM + BOM + b"data: x\n\ndata: y\n\n", [SseEvent(b"y")]),
    "half a byte order mark": (b"\xef\xbbdata: x\n\ndata: y\n\n", [SseEvent(b"y")]),
    "CR": (b"data: x\rdata: y\r\r", [SseEvent(b"x\ny")]),
    "CRLF": (
        b"data: x\r\ndata: y\r\n\r\n: c\r\n\r\n",
        [SseEvent(b"x\ny"), SseEvent(None, comments=b": c")],
    ),
    "mixed line ends": (
        b"data: x\r\r\ndata: y\n\rdata: z\r\n\n",
        [SseEvent(b"x"), SseEvent(b"y"), SseEvent(b"z")],
    ),
    "blank lines": (b"\n\n\ndata: x\n\n\n\n\ndata: y\n\n\n", [SseEvent(b"x"), SseEvent(b"y")]),
    "no other line ends": (
        "data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\n\n".encode() + b"data: \x85\xff\n\n",
        [SseEvent("a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg".encode()), SseEvent(b"\x85\xff")],
    ),
    "name is reset": (b"event: a\n\ndata: x\n\n", [SseEvent(b"x")]),
    "last one counts": (
        b"event: a\nevent: b\nid: 1\nid: 2\nretry: 1\nretry: 2\ndata: x\n\n",
        [SseEvent(b"x", b"b", b"2", b"2")],
    ),
    "NUL in an id": (b"id: 1\nid: 2\0\ndata: x\n\n", [SseEvent(b"x", id=b"1")]),
    "retry is digits": (
        b"retry: 1s\ndata: x\n\nretry:\ndata: y\n\nretry: \xb2\ndata: z\n\nretry: 10\ndata: w\n\n",
        [SseEvent(b"x"), SseEvent(b"y"), SseEvent(b"z"), SseEvent(b"w", retry=b"10")],
    ),
    "unknown fields": (b"Data: x\ndatax: y\n data: z\nfoo\ndata: w\n\n", [SseEvent(b"w")]),
    "comments and data": (
        b":one\ndata: x\n: two\n\n",
        [SseEvent(b"x", comments=b":one\n: two")],
    ),
    "named": (
        b'event: message_start\ndata: {"a":1}\n\nevent: ping\ndata: {}\n\n',
        [SseEvent(b'{"a":1}', b"message_start"), SseEvent(b"{}", b"ping")],
    ),
    "named, data first": (b"data: x\nevent: a\n\n", [SseEvent(b"x", b"a")]),
    "named, two data": (b"event: a\ndata: x\ndata: y\n\n", [SseEvent(b"x\ny", b"a")]),
    "data that looks like a separator": (
        b"data: x\n\n\ndata: y\n\ndata: z\ndata: \n\n",
        [SseEvent(b"x"), SseEvent(b"y"), SseEvent(b"z\n")],
    ),
    "unfinished": (b"data: x\n\ndata: y\n", [SseEvent(b"x")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("stream", "events"), CASES.values(), ids=CASES.keys())
def test_reads_it_on_every_split(stream: bytes, events: list[SseEvent]) -> None:
    assert reference(stream) == events
    for chunks in splits(stream):
        assert decode(*chunks) == events, chunks


PIECES = [
    b"data: ", b"data:", b"data", b"event: ", b"id: ", b"retry: ", b":", b" ", b"\n", b"\n\n",
    b"\r", b"\r\n", b"\r\n\r\n", b"x", b"12", b"\0", BOM, b"\xef\xbb", b"\x85", b"\x0b", b"{}",
    b"\xe2\x80\xa8", b"data: {}\n\n", b"data: {}\r\n\r\n", b"event: a\ndata: {}\n\n",
]  # fmt: skip


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join), max_size=12))
def test_agrees_with_the_reference(chunks: list[bytes]) -> None:
    expected = reference(b"".join(chunks))
    assert decode(*chunks) == expected
    assert decode(b"".join(chunks)) == expected


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join))
def test_every_split_of_a_soup_is_the_same(stream: bytes) -> None:
    expected = reference(stream)
    for chunks in splits(stream):
        assert decode(*chunks) == expected


# Sizes...


def sized(*chunks: bytes, limit: int) -> tuple[list[SseEvent], bool]:
    """Return the events, those before a failure too, and whether a block was too large."""
    decoder = SseDecoder(limit)
    events: list[SseEvent] = []
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
    except EventTooLarge as error:
        assert error.limit == limit  # noqa: PT017
        return events + error.events, True
    return events, False


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("finished", [True, False])
def test_bounds_a_block_wherever_it_is_cut(end: bytes, finished: bool) -> None:
    small, large = b"data: 12", b"data: 123"
    for limit, too_large in ((9, False), (8, True)):
        stream = (small + end * 2) * 2 + end + large + end * (2 if finished else 1)
        events = [SseEvent(b"12")] * 2
        if finished and not too_large:
            events.append(SseEvent(b"123"))
        for chunks in splits(stream):
            assert sized(*chunks, limit=limit) == (events, too_large), (limit, chunks)


def test_many_blocks_may_be_larger_than_one() -> None:
    assert sized(b"data: x\n\n" * 100, limit=7) == ([SseEvent(b"x")] * 100, False)
    assert sized(b"event: e\ndata: x\n\n" * 100, limit=16) == ([SseEvent(b"x", b"e")] * 100, False)


def test_a_large_event_in_small_chunks_is_not_searched_again() -> None:
    class Counted(bytearray):
        copied = 0

        def __iadd__(self, other: bytes) -> Counted:  # type: ignore[override, misc]
            Counted.copied += len(other)
            super().__iadd__(other)
            return self

    decoder = SseDecoder()
    decoder._buffer = Counted()
    piece = b"x" * 4096
    assert decoder.feed(b"data: ") == []
    for _ in range(4000):
        assert decoder.feed(piece) == []
    assert decoder.pending == 6 + 4000 * 4096
    assert decoder.feed(b"\n") == []
    (event,) = decoder.feed(b"\ndata: y")
    assert event.data is not None
    assert len(event.data) == 4000 * 4096
    # Each byte went into the buffer once, and what a feed looks at is its own chunk.
    assert Counted.copied == 6 + 4000 * 4096 + 1 + len(b"data: y")


# The end of a stream...


@pytest.mark.parametrize(
    ("stream", "pending", "last"),
    [
        (b"", False, None),
        (b"data: x\n\n", False, None),
        (b"data: x\r\n\r", False, None),
        (b"\n\n", False, None),
        (b"data: x", True, SseEvent(b"x")),
        (b"data: x\n", True, SseEvent(b"x")),
        (b"data: x\r", True, SseEvent(b"x")),
        (b"event: e\r\ndata: x\r\n", True, SseEvent(b"x", b"e")),
        (b"data: x\n\nd", True, None),
        (b"data: x\n\n: c", True, SseEvent(None, comments=b": c")),
        (b"\xef\xbb", True, None),
        (BOM, False, None),
    ],
)
def test_gives_a_last_block_that_has_no_end(
    stream: bytes, pending: bool, last: SseEvent | None
) -> None:
    for chunks in splits(stream):
        decoder = SseDecoder()
        for chunk in chunks:
            decoder.feed(chunk)
        assert (decoder.pending > 0) is pending
        assert decoder.finish() == last
        assert decoder.pending == 0
        assert repr(decoder) == "<SseDecoder 0 bytes pending>"


@pytest.mark.parametrize(
    ("start", "begun", "events"),
    [
        (b"", False, False),
        (b" \r\n\xef\xbb\xbf\t", False, False),
        (b"data: x", True, True),
        (b"\n\n: hi", True, True),
        (b"event", True, True),
        (b"id: 1", True, True),
        (b"retry: 1", True, True),
        (b' {"a":1}', True, False),
        (b"<html>", True, False),
        (b"[1]", True, False),
        (b'"x"', True, False),
    ],
)
def test_tells_events_by_their_first_byte(start: bytes, begun: bool, events: bool) -> None:
    assert begins(start) is begun
    assert looks_like_events(start) is events


# Encoding...


@pytest.mark.parametrize(
    ("event", "block"),
    [
        (SseEvent(b"x"), b"data: x\n\n"),
        (SseEvent(b""), b"data: \n\n"),
        (SseEvent(b"x\n\ny"), b"data: x\ndata: \ndata: y\n\n"),
        (SseEvent(b"x\r\ny\rz"), b"data: x\ndata: y\ndata: z\n\n"),
        (SseEvent(None, comments=b": ping"), b": ping\n\n"),
        (
            SseEvent(b"x", b"n", b"1", b"2", b":a\n:b"),
            b":a\n:b\nevent: n\nid: 1\nretry: 2\ndata: x\n\n",
        ),
        (SseEvent(None, b"n", b"1", b"2"), b""),
    ],
)
def test_encodes(event: SseEvent, block: bytes) -> None:
    assert encode(event) == block


@pytest.mark.parametrize(
    "event",
    [
        SseEvent(b"x", b"a\ndata: y"),
        SseEvent(b"x", id=b"1\r"),
        SseEvent(b"x", retry=b"1\n"),
        SseEvent(b"x", comments=b"data: y"),
        SseEvent(b"x", comments=b":a\n\n:b"),
        SseEvent(b"x", comments=b":a\rdata: y"),
    ],
)
def test_refuses_a_field_that_breaks_out_of_its_line(event: SseEvent) -> None:
    with pytest.raises(ValueError, match="line"):
        encode(event)


LINE = st.binary(max_size=8).map(lambda raw: re.sub(rb"[\r\n\0]", b"", raw))


@st.composite
def events(draw: st.DrawFn) -> SseEvent:
    comments = b"\n".join(b":" + line for line in draw(st.lists(LINE, max_size=2)))
    datas = draw(st.lists(LINE, min_size=0 if comments else 1, max_size=3))
    return SseEvent(
        b"\n".join(datas) if datas else None,
        draw(LINE),
        draw(st.none() | LINE),
        draw(st.none() | st.integers(0, 99).map(lambda number: b"%d" % number)),
        comments,
    )


@given(st.lists(events()))
def test_what_is_encoded_decodes_to_the_same(given_events: list[SseEvent]) -> None:
    stream = b"".join(map(encode, given_events))
    assert b"\r" not in stream
    assert decode(stream) == given_events == reference(stream)
