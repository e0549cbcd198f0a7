from __future__ import annotations

import h11
import pytest
from h11._headers import _field_value_re as h11_field_value
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.routing.call import Call, Headers, Origin
from gateway.transport_errors import ProtocolViolation
from gateway.upstream import heads
from gateway.upstream.heads import MAX_HEAD, MAX_INFORMATIONAL, HeadReader, RequestHeads

ORIGIN = Origin("https", "api.example.com", 443)


def call(headers: Headers = (), body: bytes = b"{}", method: bytes = b"POST") -> Call:
    return Call(ORIGIN, method, b"/v1/x", headers, body)


def test_writes_a_head() -> None:
    headers = ((b"authorization", b"Bearer k"), (b"x-request-id", b"r1"))
    assert RequestHeads().render(call(headers)) == (
        b"POST /v1/x HTTP/1.1\r\nhost: api.example.com\r\nauthorization: Bearer k\r\n"
        b"accept-encoding: identity\r\nx-request-id: r1\r\ncontent-length: 2\r\n\r\n"
    )


def test_the_kept_part_serves_other_bodies_and_ids() -> None:
    rendered = RequestHeads()
    for number in range(3):
        head = rendered.render(call(((b"x-request-id", b"%d" % number),), body=b"x" * number))
        assert b"\r\nx-request-id: %d\r\ncontent-length: %d\r\n\r\n" % (number, number) in head
    assert repr(rendered) == "<RequestHeads 1 kept>"


def test_the_callers_own_accept_encoding_stands() -> None:
    head = RequestHeads().render(call(((b"accept-encoding", b"gzip"),)))
    assert b"identity" not in head


def test_no_length_without_a_body_where_none_is_expected() -> None:
    rendered = RequestHeads()
    assert b"content-length" not in rendered.render(call(method=b"GET", body=b""))
    assert b"content-length: 0\r\n" in rendered.render(call(method=b"POST", body=b""))


def test_what_is_said_of_an_illegal_head_is_short() -> None:
    with pytest.raises(ProtocolViolation) as caught:
        HeadReader().feed(b"HTTP/1.1 200 OK\r\n" + b"x" * 30_000 + b"\r\n\r\n")
    assert len(str(caught.value)) < 300


def test_the_number_of_kept_heads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "MAX_HEADS_KEPT", 4)
    rendered = RequestHeads()
    for number in range(10):
        rendered.render(call(((b"x-varies", b"%d" % number),)))
    assert repr(rendered) == "<RequestHeads 2 kept>"


@pytest.mark.parametrize("name", [b"x-any", b"x-request-id"])
@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0b", b" a", b"a ", b"\x0b"])
def test_no_header_can_end_the_line(name: bytes, value: bytes) -> None:
    rendered = RequestHeads()
    for _ in range(2):
        with pytest.raises(ValueError, match="illegal"):
            rendered.render(call(((name, value),)))


@pytest.mark.parametrize("name", [b"authorization", b"x-request-id"])
def test_a_refusal_does_not_quote_the_value(name: bytes) -> None:
    with pytest.raises(ValueError, match="illegal") as caught:
        RequestHeads().render(call(((name, b"sk-secret\n"),)))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", [b"Host", b"content-length", b"transfer-encoding", b"expect"])
def test_framing_headers_are_not_the_callers(name: bytes) -> None:
    with pytest.raises(ValueError, match="not the caller's"):
        RequestHeads().render(call(((name, b"1"),)))


@pytest.mark.parametrize(
    "bad",
    [
        Call(ORIGIN, b"PO ST", b"/", (), b""),
        Call(ORIGIN, b"GET", b"/a b", (), b""),
        Call(ORIGIN, b"GET", b"/\r\nx: y", (), b""),
        Call(ORIGIN, b"GET", b"/", ((b"a b", b"c"),), b""),
    ],
)
def test_illegal_request_lines(bad: Call) -> None:
    with pytest.raises(ValueError, match="illegal"):
        RequestHeads().render(bad)


@given(st.binary(max_size=20))
def test_values_are_legal_where_h11_says_so(value: bytes) -> None:
    ours = heads._FIELD_VALUE.fullmatch(value) is not None
    assert ours == (h11_field_value.fullmatch(value) is not None)


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX-A:  1 \r\n\r\n"
EARLY = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"


@pytest.mark.parametrize("before", [b"", EARLY])
def test_reads_a_head_on_every_split(before: bytes) -> None:
    wire = before + ANSWER
    for cut in range(1, len(wire) + 1):
        reader = HeadReader()
        head = reader.feed(wire[:cut]) or reader.feed(wire[cut:] + b"body")
        assert reader.started
        assert head is not None
        assert head.status == 200
        assert head.headers == [(b"content-type", b"a/b"), (b"x-a", b"1")]
        assert head.rest == (b"" if cut == len(wire) else b"body")


@pytest.mark.parametrize(
    "wire",
    [
        b"\x15\x03\x01\x00\x02\x02",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_HEAD,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * (MAX_HEAD // 6),
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INFORMATIONAL + 1),
    ],
    ids=lambda wire: repr(wire[:40]),
)
def test_what_is_no_answer(wire: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        HeadReader().feed(wire)


def test_nothing_has_started_before_the_first_byte() -> None:
    assert not HeadReader().started


def test_prebuilt_request_is_one_that_h11_accepts() -> None:
    assert isinstance(heads._SOME_REQUEST, h11.Request)
