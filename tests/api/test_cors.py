from __future__ import annotations

import pytest

from gateway.api.cors import answer_headers, preflight
from gateway.config.cors import Cors
from gateway.errors import PermissionDenied

PAGE = b"https://chat.example.com"
OPEN = Cors(allow_origins=("*",))
NAMED = Cors(allow_origins=("https://chat.example.com", "http://localhost:3000"))
ASKED = {b"origin": PAGE, b"access-control-request-method": b"POST"}


def test_off_by_default() -> None:
    assert answer_headers(Cors(), PAGE) == []
    assert preflight(Cors(), ASKED) is None


@pytest.mark.parametrize("cors", [OPEN, NAMED])
def test_who_is_no_page_gets_nothing(cors: Cors) -> None:
    assert answer_headers(cors, None) == []
    assert preflight(cors, {b"access-control-request-method": b"POST"}) is None


def test_any_origin() -> None:
    headers = dict(answer_headers(OPEN, PAGE))
    assert headers[b"access-control-allow-origin"] == b"*"
    assert b"vary" not in headers
    exposed = headers[b"access-control-expose-headers"].split(b", ")
    assert {b"x-request-id", b"retry-after-ms", b"x-ratelimit-reset-tokens"} <= set(exposed)


def test_a_named_origin_is_told_its_own_name_only() -> None:
    headers = dict(answer_headers(NAMED, PAGE))
    assert headers[b"access-control-allow-origin"] == PAGE
    assert headers[b"vary"] == b"Origin"
    assert b"access-control-allow-credentials" not in headers


@pytest.mark.parametrize(
    "origin", [b"https://evil.example", b"https://chat.example.com.evil", b"null", b"\xff"]
)
def test_another_origin_is_not_allowed_anything(origin: bytes) -> None:
    assert answer_headers(NAMED, origin) == [(b"vary", b"Origin")]
    with pytest.raises(PermissionDenied):
        preflight(NAMED, {**ASKED, b"origin": origin})


def test_credentials_where_asked_for() -> None:
    cors = Cors(allow_origins=("https://chat.example.com",), allow_credentials=True)
    assert dict(answer_headers(cors, PAGE))[b"access-control-allow-credentials"] == b"true"


def test_a_preflight_is_told_what_it_may() -> None:
    asked = {**ASKED, b"access-control-request-headers": b"authorization,content-type"}
    assert preflight(OPEN, asked) == [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", b"authorization,content-type"),
        (b"access-control-max-age", b"600"),
    ]
    assert b"access-control-allow-headers" not in dict(preflight(OPEN, ASKED) or [])
    listed = Cors(allow_origins=("*",), allow_headers=("authorization",), max_age=5)
    assert preflight(listed, asked) == [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", b"authorization"),
        (b"access-control-max-age", b"5"),
    ]


def test_options_without_a_method_asked_for_is_no_preflight() -> None:
    assert preflight(OPEN, {b"origin": PAGE}) is None
