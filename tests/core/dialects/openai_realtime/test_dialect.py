"""How sessions are opened, and how errors look in them."""

from __future__ import annotations

import json

import pytest

from gateway.core.dialects.openai_realtime.dialect import REALTIME, RESPONSES_SOCKET
from gateway.errors import InvalidRequest


def test_the_opening() -> None:
    offered = [
        "realtime",
        "openai-insecure-api-key.sk-1",
        "openai-organization.o",
        "x",
        "a b",
        "\xff",
    ]
    found = REALTIME.opening(b"model=a%2Fb", offered)
    assert (found.model, found.key, found.offered, found.chosen) == (
        "a/b",
        b"sk-1",
        ("realtime", "x"),
        "realtime",
    )
    assert REALTIME.opening(b"deployment=d&api-version=1", []).model == "d"
    assert REALTIME.opening(b"model=d&deployment=d", []).model == "d"
    assert REALTIME.opening(b"", []).model is None
    for query in (b"model=a&model=b", b"model=a&deployment=b", b"intent=a&intent=b"):
        with pytest.raises(InvalidRequest):
            REALTIME.opening(query, [])


def test_the_target() -> None:
    for target, query, wanted in (
        (b"/v1/realtime", b"model=p&x=y", b"/v1/realtime?model=a%2Fb"),
        (b"/v1/realtime", b"intent=transcription", b"/v1/realtime?intent=transcription"),
        (
            b"/v1/realtime",
            b"model=p&intent=a%26model%3Dz",
            b"/v1/realtime?model=a%2Fb&intent=a%26model%3Dz",
        ),
        (
            b"/openai/realtime?api-version=1",
            b"",
            b"/openai/realtime?api-version=1&deployment=a%2Fb",
        ),
    ):
        assert REALTIME.session_target(target, "a/b", query) == wanted
    assert RESPONSES_SOCKET.session_target(b"/v1/responses", "m", b"a=b") == b"/v1/responses"


def test_errors() -> None:
    event = json.loads(REALTIME.error_event("no", "rate_limit_exceeded", "requests"))
    assert (event["type"], event["error"]["message"], event["error"]["code"]) == (
        "error",
        "no",
        "rate_limit_exceeded",
    )
    event = json.loads(RESPONSES_SOCKET.error_event("no", "rate_limit_exceeded", "requests"))
    assert (event["type"], event["status"], event["message"]) == ("error", 429, "no")
    for data in (b"no JSON", b"[]", b'{"error":"text"}'):
        assert json.loads(REALTIME.relayed_error_event(data))["error"]["message"] == data.decode()
