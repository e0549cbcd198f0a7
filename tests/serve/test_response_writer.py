"""Answers byte for byte as h11 writes them, and what can't be sent."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serve.response_writer import HeaderPair, ResponseWriter

_NAME = st.sampled_from(
    [b"content-type", b"X-A", b"x-b", b"connection", b"Connection", b"date", b"Content-Length"]
)
_VALUE = st.sampled_from(
    [b"", b"a", b"a b", b"a\tb", b"close", b"keep-alive", b"upgrade, Close", b"\xff\x01", b"a: b"]
)


def written_by_h11(
    asked: bytes, status: int, headers: list[HeaderPair], pieces: list[bytes]
) -> tuple[bytes, bool]:
    bodiless = asked.startswith(b"HEAD") or status in (204, 304)
    server = h11.Connection(h11.SERVER)
    server.receive_data(asked)
    while type(server.next_event()) not in (h11.EndOfMessage, h11.PAUSED):
        pass
    out = server.send(h11.Response(status_code=status, headers=headers)) or b""
    for piece in pieces if not bodiless else ():
        out += server.send(h11.Data(data=piece)) or b""
    out += server.send(h11.EndOfMessage()) or b""
    return out, server.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}


def written_by_us(
    writer: ResponseWriter, status: int, headers: list[HeaderPair], pieces: list[bytes]
) -> tuple[bytes, bool]:
    out = writer.begin(status, headers)
    for piece in pieces:
        if piece and not writer.bodiless:
            out += writer.data(piece)
    return out + writer.end(), writer.keeps_alive


@given(
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    version=st.sampled_from(["1.0", "1.1"]),
    close=st.booleans(),
    status=st.sampled_from([200, 204, 304, 404, 503, 599]),
    headers=st.lists(st.tuples(_NAME, _VALUE), max_size=5),
    pieces=st.lists(st.sampled_from([b"", b"a", b"body"]), max_size=3),
    sized=st.booleans(),
    encoded=st.booleans(),
)
def test_answers_are_what_h11_makes_of_them(
    method: str,
    version: str,
    close: bool,
    status: int,
    headers: list[HeaderPair],
    pieces: list[bytes],
    sized: bool,
    encoded: bool,
) -> None:
    fields = [(name, value) for name, value in headers if name != b"Content-Length"]
    if sized:
        fields.insert(len(fields) // 2, (b"content-length", b"%d" % sum(map(len, pieces))))
    if encoded and status not in (204, 304):
        # h11 leaves one in a head that has no body, which RFC 9112 section 6.1 forbids for 204.
        fields.append((b"transfer-encoding", b"Chunked"))
    asked = f"{method} / HTTP/{version}\r\nHost: a\r\n{'Connection: Close' if close else 'A: b'}"
    expected = written_by_h11(asked.encode() + b"\r\n\r\n", status, fields, pieces)
    writer = ResponseWriter(head_only=method == "HEAD", old=version == "1.0", close=close)
    assert written_by_us(writer, status, fields, pieces) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-a", b"a\r\nset-cookie: stolen"),
        (b"x-a", b"a\r\n\r\nbody"),
        (b"x-a", b"a\nb"),
        (b"x-a", b"a\rb"),
        (b"x-a", b"a\x00b"),
        (b"x-a", b" a"),
        (b"x-a", b"a "),
        (b"x-a", b"a\x0bb"),
        (b"x-a: b\r\nx-c", b"d"),
        (b"x-a\nx-b", b"d"),
        (b"x a", b"b"),
        (b"x-a:", b"b"),
        (b"x\xe4", b"b"),
        (b"", b"b"),
        (b"content-length", b"-1"),
        (b"content-length", b"1_0"),
        (b"content-length", b"1" * 21),
        (b"transfer-encoding", b"gzip"),
    ],
)
def test_what_h11_refuses_is_refused(name: bytes, value: bytes) -> None:
    with pytest.raises(h11.LocalProtocolError):
        h11.Response(status_code=200, headers=[(name, value)])
    with pytest.raises(RuntimeError):
        ResponseWriter(head_only=False, old=False, close=False).begin(200, [(name, value)])


@given(
    st.lists(
        st.tuples(
            st.text("x-\n :\t\x80", max_size=4).map(lambda name: name.encode("latin-1")),
            st.text("a \t\r\n:\0\v\f\xff", max_size=6).map(lambda text: text.encode("latin-1")),
        ),
        max_size=3,
    )
)
def test_whatever_h11_refuses_is_refused(headers: list[HeaderPair]) -> None:
    def begun() -> bytes:
        return ResponseWriter(head_only=False, old=False, close=False).begin(204, headers)

    try:
        response = h11.Response(status_code=204, headers=headers)
    except h11.LocalProtocolError:
        with pytest.raises(RuntimeError):
            begun()
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    while type(server.next_event()) not in (h11.EndOfMessage, h11.PAUSED):
        pass
    assert begun() == server.send(response)


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 1000])
def test_a_status_that_is_none(status: int) -> None:
    with pytest.raises(RuntimeError):
        ResponseWriter(head_only=False, old=False, close=False).begin(status, [])


def test_two_lengths_that_differ() -> None:
    writer = ResponseWriter(head_only=False, old=False, close=False)
    with pytest.raises(RuntimeError):
        writer.begin(200, [(b"content-length", b"1"), (b"content-length", b"2")])


@pytest.mark.parametrize("pieces", [[b"abcd"], [b"ab", b"cd"], [b"ab"], []])
def test_a_body_of_another_length_than_was_said(pieces: list[bytes]) -> None:
    writer = ResponseWriter(head_only=False, old=False, close=False)
    with pytest.raises(RuntimeError, match="Content-Length"):
        written_by_us(writer, 200, [(b"content-length", b"3")], pieces)
