from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.request import (
    api_key,
    content_length,
    has_body,
    headers_of,
    request_id,
    request_timeout,
    without_key,
)
from gateway.api.spoken_dialect import dialect_of
from gateway.errors import InvalidRequest

NAME = b"x-request-id"


def test_of_repeated_headers_the_first_counts() -> None:
    pairs = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    assert headers_of({"headers": pairs}) == {b"a": b"1", b"b": b"2"}
    assert headers_of({"headers": iter(pairs)}) == {b"a": b"1", b"b": b"2"}


@pytest.mark.parametrize("given", [b"abc", b"req_1.2:3/4+5=6@7-8", b"a" * 128])
def test_a_sane_request_id_is_kept(given: bytes) -> None:
    assert request_id({NAME: given}, NAME) == given


@pytest.mark.parametrize(
    "given", [b"", b"a" * 129, b"a b", b"a\n", b"a\r\nx: y", b"<x>", b'"', b"\xe9", b"a,b", b"a;b"]
)
def test_any_other_is_replaced(given: bytes) -> None:
    assert re.fullmatch(rb"req_[0-9a-f]{32}", request_id({NAME: given}, NAME))


def test_ids_are_new_each_time_and_trusted_only_if_so_configured() -> None:
    assert request_id({}, NAME) != request_id({}, NAME)
    assert request_id({NAME: b"abc"}, b"") != b"abc"
    assert request_id({NAME: b"abc", b"other": b"def"}, b"other") == b"def"


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({b"authorization": b"Bearer k"}, b"k"),
        ({b"authorization": b"bearer  k "}, b"k"),
        ({b"authorization": b"BEARER a b"}, b"a b"),
        ({b"authorization": b"Bearer"}, None),
        ({b"authorization": b"Bearer  "}, None),
        ({b"authorization": b"Basic k"}, None),
        ({b"authorization": b"k"}, None),
        ({b"x-api-key": b"x"}, b"x"),
        ({b"x-api-key": b" x "}, b"x"),
        ({b"x-api-key": b""}, None),
        ({b"authorization": b"Bearer k", b"x-api-key": b"x"}, b"k"),
        ({b"authorization": b"Bearer ", b"x-api-key": b"x"}, b"x"),
        ({b"authorization": b"Basic k", b"x-api-key": b"x"}, b"x"),
        ({b"x-goog-api-key": b" x "}, b"x"),
        ({b"x-goog-api-key": b"g", b"x-api-key": b"x"}, b"x"),
        ({b"x-goog-api-key": b"g", b"x-api-key": b""}, b"g"),
    ],
)
def test_api_key(headers: dict[bytes, bytes], key: bytes | None) -> None:
    assert api_key(headers) == key


@pytest.mark.parametrize(
    ("query", "key", "rest"),
    [
        (b"", None, b""),
        (b"alt=sse", None, b"alt=sse"),
        (b"key=k", b"k", b""),
        (b"alt=sse&key=a%2Bb&x=%20", b"a+b", b"alt=sse&x=%20"),
        (b"%6Bey=k&monkey=m", b"k", b"monkey=m"),
        (b"monkey=m&a=%25", None, b"monkey=m&a=%25"),
        (b"key=&alt=sse", None, b"key=&alt=sse"),
        (b"$key=k&%24key=l&a=1", b"l", b"a=1"),
        (b"key=k&%6bey=l", b"l", b""),
        (b"x=%ff&key=%c3%a4%ff", b"\xc3\xa4\xff", b"x=%ff"),
        (b"x=%ff", None, b"x=%ff"),
        (b"\xff=\xff%", None, b"\xff=\xff%"),
    ],
)
def test_a_key_in_an_address(query: bytes, key: bytes | None, rest: bytes) -> None:
    assert api_key({}, query) == key
    assert without_key(query) == rest
    # A header goes before it.
    assert api_key({b"x-goog-api-key": b"h"}, query) == b"h"


@given(st.lists(st.sampled_from([b"key", b"%", b"%ff", b"=", b"&", b";", b"+", b"\xff", b"a"])))
def test_no_address_is_too_odd(pieces: list[bytes]) -> None:
    query = b"".join(pieces)
    for path in ("/v1/models", "/v1beta/models/m:streamGenerateContent", "/model/m/converse"):
        assert dialect_of(path, {}, query).name
    if api_key({}, query) is None:
        assert without_key(query) == query
    else:
        assert api_key({}, without_key(query)) is None


@pytest.mark.parametrize(
    ("headers", "length", "body"),
    [
        ({}, None, False),
        ({b"content-length": b"0"}, 0, False),
        ({b"content-length": b"12"}, 12, True),
        ({b"content-length": b"x"}, None, False),
        ({b"content-length": b"-1"}, None, False),
        ({b"content-length": b""}, None, False),
        ({b"transfer-encoding": b"chunked"}, None, True),
    ],
)
def test_length_and_body(headers: dict[bytes, bytes], length: int | None, body: bool) -> None:
    assert content_length(headers) == length
    assert has_body(headers) is body


@pytest.mark.parametrize(
    ("value", "seconds"), [(None, None), (b"1", 0.001), (b"20000", 20.0), (b"0100", 0.1)]
)
def test_a_client_may_limit_its_request(value: bytes | None, seconds: float | None) -> None:
    headers = {} if value is None else {b"x-request-timeout-ms": value}
    assert request_timeout(headers) == seconds


@pytest.mark.parametrize("value", [b"", b"0", b"-1", b"1.5", b"1e3", b"soon", b"9" * 13])
def test_an_odd_limit_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidRequest, match="x-request-timeout-ms"):
        request_timeout({b"x-request-timeout-ms": value})
