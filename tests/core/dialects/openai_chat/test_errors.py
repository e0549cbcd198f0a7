from __future__ import annotations

import json

import pytest

from gateway import errors
from gateway.core.dialects.error_words import read_error
from gateway.core.dialects.openai_chat.errors import (
    error_body,
    error_event,
    error_reply,
    error_status,
    relayed_error_event,
)

JSON = (b"content-type", b"application/json")
PROVIDERS = (errors.ProvidersFailed, errors.ProvidersTimedOut)
# Those with a constructor of their own are below.
SHOWN = [
    errors.InvalidRequest,
    errors.AuthenticationFailed,
    errors.PermissionDenied,
    errors.NotFound,
    errors.ModelNotFound,
    errors.BodyTimeout,
    errors.BodyTooLarge,
    errors.ProvidersRateLimited,
    *PROVIDERS,
    errors.InternalError,
    errors.ShuttingDown,
]


@pytest.mark.parametrize("kind", SHOWN)
def test_every_error_is_an_openai_error(kind: type[errors.GatewayError]) -> None:
    headers, body = error_reply(kind('what "happened" é', param="p"))
    assert json.loads(body) == {
        "error": {
            "message": 'what "happened" é',
            "type": kind.type,
            "param": "p",
            "code": kind.code,
        }
    }
    assert headers[0] == JSON
    # The SDK would repeat what we have tried often enough.
    assert ((b"x-should-retry", b"false") in headers) == (kind in PROVIDERS)
    assert ((b"www-authenticate", b"Bearer") in headers) == (kind.status == 401)


def test_missing_members_are_null() -> None:
    assert error_body("m", "t", None) == (
        b'{"error":{"message":"m","type":"t","param":null,"code":null}}'
    )


@pytest.mark.parametrize(
    ("seconds", "rounded", "milliseconds"),
    [(0.0, b"1", b"1"), (0.2, b"1", b"200"), (2.0, b"2", b"2000"), (2.0001, b"3", b"2001")],
)
def test_retry_after_is_rounded_up(seconds: float, rounded: bytes, milliseconds: bytes) -> None:
    headers, _ = error_reply(errors.ProvidersRateLimited("wait", retry_after=seconds))
    assert dict(headers) == dict(
        [
            JSON,
            (b"x-should-retry", b"true"),
            (b"retry-after", rounded),
            (b"retry-after-ms", milliseconds),
        ]
    )


def test_method_not_allowed_says_what_is() -> None:
    headers, _ = error_reply(errors.MethodNotAllowed("no", allow="GET, HEAD"))
    assert (b"allow", b"GET, HEAD") in headers


def test_a_code_of_its_own() -> None:
    _, body = error_reply(errors.InvalidRequest("m", code="duplicate_key"))
    assert json.loads(body)["error"]["code"] == "duplicate_key"


def test_details_stand_beside_what_every_error_has() -> None:
    error = errors.InvalidRequest("m")
    error.details = {"problems": ["a", "b"]}
    _, body = error_reply(error)
    assert json.loads(body)["error"] == {
        "message": "m",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_request",
        "problems": ["a", "b"],
    }


def test_an_error_event_has_all_that_sdks_read() -> None:
    event = error_event("broke", "upstream_broke", "upstream_error")
    assert event == (
        b'data: {"error":{"message":"broke","type":"upstream_error","param":null,'
        b'"code":"upstream_broke"}}\n\n'
    )


def test_an_error_event_of_several_lines_stays_one_event() -> None:
    assert relayed_error_event(b'{"error":\n1}') == b'data: {"error":\ndata: 1}\n\n'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":{"message":"it  broke\\n twice"}}', "it broke twice"),
        (b'{"error":"it broke"}', "it broke"),
        (b'{"object":"error","message":"vllm says no"}', "vllm says no"),
        (b'{"detail":"no message"}', '{"detail":"no message"}'),
        (b"<html>busy</html>", "<html>busy</html>"),
        (b"\xff", "\ufffd"),
        (b"", ""),
        (b"[" * 100_000, "[" * 297 + "..."),
        (b"x" * 400, "x" * 297 + "..."),
    ],
)
def test_what_an_error_says(body: bytes, said: str) -> None:
    assert read_error(body) == said


@pytest.mark.parametrize(
    "body", [b"\x1f\x8b\x08\x00\x00\x00\x00\x00", b"(\xb5/\xfd\x04\x00X", b"\x1b\x0f\x00\xf8text"]
)
def test_what_is_no_text_is_not_shown(body: bytes) -> None:
    assert read_error(body) == f"{len(body)} bytes that are no text"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"error":{"code":400}}', 400),
        ('{"error":{"code":"429"}}', 429),
        ('{"error":{"code":503.0}}', 503),
        ('{"error":{"code":null,"status":"x","status_code":422}}', 422),
        ('{"error":{"code":"context_length_exceeded"}}', 400),
        ('{"error":{"code":"their_own","type":"rate_limit_error"}}', 429),
        ('{"error":{"type":"overloaded_error"}}', 529),
        ('{"error":"no","code":401}', 401),
        ('{"error":{"message":"no"},"status":404}', 404),
        ('{"object":"error","code":400}', 400),
        ('{"error":{"code":200}}', None),
        ('{"error":{"code":600}}', None),
        ('{"error":{"code":-400}}', None),
        ('{"error":{"code":true}}', None),
        ('{"error":{"code":[400]}}', None),
        ('{"error":{"code":"4"}}', None),
        ('{"error":{}}', None),
        ("[400]", None),
        ("", None),
    ],
)
def test_the_status_that_an_error_names(body: str, status: int | None) -> None:
    assert error_status(body.encode()) == status
