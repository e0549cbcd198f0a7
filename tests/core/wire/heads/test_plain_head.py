"""What is read the quick way is read the same by h11, and by the gate behind it."""

from __future__ import annotations

import time

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.wire.heads.plain_head import HeaderPair, plain_request, plain_response

from ....rounds import rounds

Read = tuple[bytes | int, bytes, list[HeaderPair]]

# Pieces that heads are made of, whole and broken, so that what is drawn is close to a head.
PIECES = st.sampled_from(
    [
        *(
            b"\r\n",
            b"\n",
            b"\r",
            b" ",
            b"\t",
            b":",
            b": ",
            b",",
            b"\x00",
            b"\x0b",
            b"\x0c",
            b"\x7f",
        ),
        *(b"host: a\r\n", b"Host:a\r\n", b"content-length: 5\r\n", b"Content-Length:05\r\n"),
        *(b"content-length: +5\r\n", b"content-length: 5, 5\r\n", b"content-length: \xb2\r\n"),
        *(b"transfer-encoding: chunked\r\n", b"Transfer-Encoding: Chunked\r\n"),
        *(b"transfer-encoding: gzip\r\n", b"expect: 100-continue\r\n", b"connection: close\r\n"),
        *(b"x: a  b\t c \r\n", b"x:\r\n", b"x : a\r\n", b" folded\r\n", b"x: caf\xe9\r\n"),
        *(b"x: \x1c\r\n", b"upgrade: websocket\r\nconnection: upgrade\r\n", b"x-\xe9: a\r\n"),
        *(b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"\r\n\r\n"),
    ]
)
FIELDS = st.lists(PIECES | st.binary(max_size=3), max_size=7).map(b"".join)
REQUEST_LINES = st.sampled_from(
    [
        *(b"GET / HTTP/1.1\r\n", b"POST /v1/chat/completions?a=%20b HTTP/1.1\r\n"),
        *(b"GET / HTTP/1.0\r\n", b"get / HTTP/1.1\r\n", b"GET /a#b HTTP/1.1\r\n"),
        *(b"GET /a b HTTP/1.1\r\n", b"GET /\xe9 HTTP/1.1\r\n", b"GET  / HTTP/1.1\r\n"),
        *(b"OPTIONS * HTTP/1.1\r\n", b"CONNECT a:1 HTTP/1.1\r\n", b"GET / HTTP/1.1 \r\n"),
    ]
)
STATUS_LINES = st.sampled_from(
    [
        *(
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 404\r\n",
            b"HTTP/1.1 503 \r\n",
            b"HTTP/1.0 200 OK\r\n",
        ),
        *(b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 101 Switching\r\n", b"HTTP/1.1 099 x\r\n"),
        *(b"HTTP/1.1 429 Too\tMany \xe9\r\n", b"HTTP/1.1 200 \x00\r\n", b"HTTP/1.1  200 OK\r\n"),
        *(b"HTTP/2 200\r\n", b"http/1.1 200 OK\r\n", b"HTTP/1.1 2000 OK\r\n", b"HTTP/1.1 999\r\n"),
    ]
)


def by_h11(role: type[h11.CLIENT | h11.SERVER], data: bytes) -> tuple[Read, bytes] | None:
    parser = h11.Connection(role, max_incomplete_event_size=1 << 20)
    parser.receive_data(data)
    try:
        event = parser.next_event()
    except h11.RemoteProtocolError:
        return None
    if isinstance(event, h11.Request):
        assert not parser.they_are_waiting_for_100_continue
        return (event.method, event.target, list(event.headers)), parser.trailing_data[0]
    if isinstance(event, h11.Response):
        return (event.status_code, event.http_version, list(event.headers)), parser.trailing_data[0]
    return None


@given(REQUEST_LINES, FIELDS)
@example(b"GET / HTTP/1.1\r\n", b"host: a\r\nx:  a \t b  \r\nX-Y:\r\n")
@settings(max_examples=rounds(100, 2000))
def test_h11_reads_a_request_the_same(line: bytes, fields: bytes) -> None:
    head = line + fields + b"\r\n"
    plain = plain_request(head)
    if plain is not None:
        assert by_h11(h11.SERVER, head) == ((plain.method, plain.target, plain.headers), b"")


@given(STATUS_LINES, FIELDS, st.sampled_from([b"", b"5\r\nhello\r\n", b"\r\n\r\n"]))
@example(b"HTTP/1.1 200 OK\r\n", b"Content-Type: a/b\r\ntransfer-encoding: chunked\r\n", b"0\r\n")
@settings(max_examples=rounds(100, 2000))
def test_h11_reads_a_response_the_same(line: bytes, fields: bytes, rest: bytes) -> None:
    data = line + fields + b"\r\n" + rest
    plain = plain_response(data)
    if plain is not None:
        head = (plain.status, b"1.1", plain.headers)
        assert by_h11(h11.CLIENT, data) == (head, data[plain.end :])


def test_the_usual_forms_are_read() -> None:
    asked = plain_request(
        b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: a:1\r\nX-Api-Key:\t sk-1 \r\n"
        b"Content-Length: 12\r\nempty:\r\nname: caf\xe9\r\n\r\n"
    )
    assert asked is not None
    assert asked.method == b"POST"
    assert asked.target == b"/v1/messages?beta=true"
    assert asked.headers == [
        *((b"host", b"a:1"), (b"x-api-key", b"sk-1"), (b"content-length", b"12")),
        *((b"empty", b""), (b"name", b"caf\xe9")),
    ]
    answer = plain_response(b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\n\r\n{}")
    assert answer is not None
    assert (answer.status, answer.headers, answer.end) == (429, [(b"retry-after", b"1")], 41)


@pytest.mark.parametrize(
    "fields",
    [
        *(b"", b"host: a\r\nhost: b\r\n", b"host: a\r\nexpect: 100-continue\r\n"),
        *(b"host: a\r\ntransfer-encoding: chunked\r\n", b"host: a\r\ncontent-length: 1_0\r\n"),
        *(b"host: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n", b"host: a\r\nx: \x0b\r\n"),
        *(b"host: a\r\ncontent-length: 1234567890123456789\r\n", b"host: a\r\nx: a\r\n b\r\n"),
        *(b"host: a\r\nx: a\ny: b\r\n", b"host: a\r\nx: a\ry: b\r\n", b"host: a\r\n\r\nx: a\r\n"),
    ],
)
def test_what_h11_has_to_judge(fields: bytes) -> None:
    assert plain_request(b"GET / HTTP/1.1\r\n" + fields + b"\r\n") is None


@pytest.mark.parametrize(
    "data",
    [
        *(b"HTTP/1.1 200 OK\r\nx: y\r\n", b"HTTP/1.1 200 OK\r\nx: y\r\n\r", b"HTTP/1.1 200 OK"),
        *(b"HTTP/1.1 103 Early\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    ],
)
def test_what_is_no_whole_plain_response(data: bytes) -> None:
    assert plain_response(data) is None


def test_no_head_takes_long() -> None:
    def seconds(count: int) -> float:
        shapes = (b" \t" * count, b"a " * count, b"a" * count, b"a:" * count, b"\xe9\t" * count)
        began = time.process_time()
        for shape in shapes:
            for end in (b"\r\n\r\n", b"\x00\r\n\r\n", b""):
                plain_request(b"GET / HTTP/1.1\r\nhost: a\r\nx: " + shape + end)
                plain_request(b"GET /" + shape + end)
                plain_response(b"HTTP/1.1 200 " + shape + end)
        return time.process_time() - began

    # Twice as long takes about twice as much; with backtracking it would be four times or worse.
    once = min(seconds(20_000) for _ in range(3))
    assert min(seconds(40_000) for _ in range(3)) < 3.2 * once
