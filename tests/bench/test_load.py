"""The load client's reading of answers, on every split."""

import re

import pytest

from bench.chunks import STAMP, STREAM_HEAD, Stream, answer, completion
from bench.load import Answer, Broken

MODEL = re.compile(rb'"model": ?"bench"')
EVENTS = 5
NOW = 123_456_789


def streamed(pieces: list[bytes], events: int = EVENTS) -> tuple[list[bytes], bool]:
    read, stamps, ended = Answer(), [], False
    for piece in pieces:
        data: bytes | None = piece
        if read.head:
            data = read.feed_head(piece)
        if data is not None:
            stamps += read.feed_events(data)
            ended = read.ended(MODEL, events)
    return stamps, ended


def whole(model: str = "bench", *, usage: bool = False) -> bytes:
    return STREAM_HEAD + Stream(model, EVENTS, usage=usage).burst(NOW)


@pytest.mark.parametrize("usage", [False, True])
def test_stream_cut_at_each_position(usage: bool) -> None:
    data = whole(usage=usage)
    for cut in range(1, len(data)):
        stamps, ended = streamed([data[:cut], data[cut:]])
        assert ended
        assert [int(stamp) for stamp in stamps] == [NOW] * EVENTS


def test_stream_event_by_event() -> None:
    stream = Stream("bench", EVENTS, usage=False)
    pieces = [STREAM_HEAD, *(stream.piece(index, index) for index in range(EVENTS)), stream.end]
    stamps, ended = streamed(pieces)
    assert ended
    assert [int(stamp) for stamp in stamps] == list(range(EVENTS))


def test_unfinished_stream_has_not_ended() -> None:
    stamps, ended = streamed([whole()[:-5]])
    assert not ended
    assert len(stamps) == EVENTS


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (whole().replace(b"HTTP/1.1 200", b"HTTP/1.1 503"), "status 503"),
        (whole("other"), "wrong model"),
        (whole().replace(b"[DONE]", b"[done]"), r"no \[DONE\]"),
        (STAMP.sub(b"lost", whole(), count=1), "4 events"),
        (
            STREAM_HEAD
            + Stream("other", 1, usage=False).piece(0, 1)
            + whole().split(b"\r\n\r\n", 1)[1],
            "6 events",
        ),
    ],
)
def test_wrong_streams_are_broken(data: bytes, why: str) -> None:
    with pytest.raises(Broken, match=why):
        streamed([data])


def test_completion_cut_at_each_position() -> None:
    data = answer(completion("bench"))
    for cut in range(1, len(data)):
        read, complete = Answer(), False
        for piece in (data[:cut], data[cut:]):
            body = read.feed_head(piece) if read.head else piece
            if body is not None:
                complete = read.feed_body(body, MODEL)
        assert complete


def test_completion_with_the_wrong_model_is_broken() -> None:
    read = Answer()
    body = read.feed_head(answer(completion("other")))
    assert body is not None
    with pytest.raises(Broken, match="wrong model"):
        read.feed_body(body, MODEL)
