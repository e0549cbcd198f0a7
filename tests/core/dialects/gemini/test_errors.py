from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.gemini import errors
from gateway.core.dialects.gemini.dialect import GEMINI, GeminiContent
from gateway.core.dialects.gemini.request import PathCall
from gateway.errors import (
    AuthenticationFailed,
    BodyTooLarge,
    GatewayError,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    ProvidersRateLimited,
    ProvidersTimedOut,
    QuotaExceeded,
)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (InvalidRequest("x"), "INVALID_ARGUMENT"),
        (AuthenticationFailed("x"), "UNAUTHENTICATED"),
        (PermissionDenied("x"), "PERMISSION_DENIED"),
        (ModelNotFound("x"), "NOT_FOUND"),
        (BodyTooLarge("x"), "INVALID_ARGUMENT"),
        (ProvidersRateLimited("x"), "RESOURCE_EXHAUSTED"),
        (InternalError("x"), "INTERNAL"),
        (Overloaded("x"), "UNAVAILABLE"),
        (ProvidersTimedOut("x"), "DEADLINE_EXCEEDED"),
    ],
)
def test_replies(error: GatewayError, word: str) -> None:
    headers, body = errors.error_reply(error, "req_1")
    found = json.loads(body)["error"]
    assert (found["code"], found["status"], found["message"]) == (error.status, word, "x")
    kinds = {each["@type"].rpartition(".")[2]: each for each in found["details"]}
    assert kinds["ErrorInfo"]["reason"] == error.code.upper()
    assert kinds["RequestInfo"]["requestId"] == "req_1"
    assert dict(headers)[b"content-type"].startswith(b"application/json")


def details_of(error: GatewayError) -> dict[str, Any]:
    details = json.loads(errors.error_reply(error)[1])["error"]["details"]
    return {each["@type"].rpartition(".")[2]: each for each in details}


def test_when_to_come_back() -> None:
    limited = ProvidersRateLimited("x", retry_after=12.25)
    assert details_of(limited)["RetryInfo"]["retryDelay"] == "12.250s"
    assert dict(errors.error_reply(limited)[0])[b"retry-after"] == b"13"
    spent = details_of(QuotaExceeded("no budget left", retry_after=7.0))
    assert "RetryInfo" not in spent
    assert "PerDay" in spent["QuotaFailure"]["violations"][0]["quotaId"]


def test_a_prompt_that_is_too_long() -> None:
    said = "token count exceeds the maximum number of tokens allowed"
    error = InvalidRequest("x", code="context_length_exceeded")
    assert said in json.loads(errors.error_reply(error)[1])["error"]["message"]
    assert said in GEMINI.refusal_body(400, "x", too_long=True).decode()
    assert said not in GEMINI.refusal_body(400, "x", too_long=False).decode()


def test_events() -> None:
    array = GeminiContent(PathCall("m", stream=True, array=True))
    for code, status in (("total_timeout", 504), ("overloaded", 503), ("upstream_broke", 500)):
        event = GEMINI.error_event("oh\nno", code, "x")
        assert event.startswith(b'data: {"error":')
        assert json.loads(event[6:])["error"]["code"] == status
        [element] = json.loads(array.error_event("oh\nno", code, "x"))
        assert element["error"]["message"] == "oh\nno"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"error":{"code":503,"message":"busy","status":"UNAVAILABLE","x":1}}', 503),
        (b'{"x":1,"error":{"code":503,"message":"busy"}}', 503),
        (b'{"error":{"status":"RESOURCE_EXHAUSTED","message":"busy"}}', 429),
        (b'{"error":{"code":"429","message":"busy"}}', 429),
        (b'{"error":"busy"}', 500),
        (b"busy", 500),
    ],
)
def test_a_providers_own_error_is_one_for_sdks(data: bytes, code: int) -> None:
    event = GEMINI.relayed_error_event(data)
    assert event.startswith(b'data: {"error":')
    found = json.loads(event[6:])
    assert found["error"]["code"] == code
    if b'"x":1}' in data:
        assert event == b"data: %b\n\n" % data


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"error":{"code":429}}', 429),
        (b'[{"error":{"code":429}}]', 429),
        (b'{"error":{"status":"UNAVAILABLE"}}', 503),
        (b'{"error":{"status":"NEW","code":"x"}}', None),
        (b'{"error":{"code":true}}', None),
        (b'{"error":{"code":42}}', None),
        (b"nonsense", None),
    ],
)
def test_the_status_that_an_error_stands_for(body: bytes, status: int | None) -> None:
    assert errors.error_status(body) == status
