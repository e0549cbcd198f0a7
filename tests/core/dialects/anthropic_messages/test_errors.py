from __future__ import annotations

import json

import pytest

from gateway.core.dialects.anthropic_messages import errors
from gateway.errors import (
    AuthenticationFailed,
    BodyTooLarge,
    GatewayError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    ProvidersFailed,
    ProvidersTimedOut,
    QuotaExceeded,
    RateLimited,
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("x"), "invalid_request_error"),
        (AuthenticationFailed("x"), "authentication_error"),
        (PermissionDenied("x"), "permission_error"),
        (ModelNotFound("x"), "not_found_error"),
        (BodyTooLarge("x"), "request_too_large"),
        (RateLimited("x", kind="tokens", retry_after=2), "rate_limit_error"),
        (QuotaExceeded("x"), "billing_error"),
        (ProvidersFailed("x"), "api_error"),
        (ProvidersTimedOut("x"), "timeout_error"),
        (Overloaded("x", retry_after=1), "overloaded_error"),
    ],
)
def test_replies(error: GatewayError, kind: str) -> None:
    headers, body = errors.error_reply(error, "req_1")
    assert json.loads(body) == {
        "type": "error",
        "error": {"type": kind, "message": "x"},
        "request_id": "req_1",
    }
    assert (b"content-type", b"application/json") in headers
    assert (b"retry-after" in dict(headers)) == (error.retry_after is not None)


def test_events() -> None:
    event = errors.error_event("too slow", "idle_timeout")
    assert event == (
        b'event: error\ndata: {"type":"error","error":{"type":"timeout_error",'
        b'"message":"too slow"}}\n\n'
    )
    assert b"api_error" in errors.error_event("x", "upstream_broke")
    assert errors.relayed_error_event(b'{\n"a":1}') == b'event: error\ndata: {\ndata: "a":1}\n\n'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"type":"error","error":{"type":"overloaded_error","message":"O"}}', 529),
        (b'{"type":"error","error":{"type":"rate_limit_error"}}', 429),
        (b'{"error":{"code":"429"}}', 429),
        (b'{"error":{"type":"new_error"}}', None),
        (b'{"type":"error"}', None),
        (b"[]", None),
        (b"x", None),
    ],
)
def test_the_status_that_an_error_stands_for(body: bytes, status: int | None) -> None:
    assert errors.error_status(body) == status
