"""Errors for requests that are refused by their head, in the dialect of their path."""

from __future__ import annotations

import json

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.refused_heads import dialect_of_head, refused_head


@pytest.mark.parametrize(
    ("head", "dialect"),
    [
        (b"POST /v1/chat/completions HTTP/1.1\r\n", OPENAI_CHAT),
        (b"POST /v1/responses HTTP/1.1\r\n\r\n", OPENAI_CHAT),
        (b"POST /v1/messages HTTP/1.1\r\n\r\n", ANTHROPIC_MESSAGES),
        (b"POST /v1/messages?beta=true HTTP/1.1\r\n\r\n", ANTHROPIC_MESSAGES),
        (b"POST /v1/messages/count_tokens HTTP/9.9\r\n", ANTHROPIC_MESSAGES),
        # It has come no further yet.
        (b"POST /v1/mess", OPENAI_CHAT),
        (b"POST /v1/messages", ANTHROPIC_MESSAGES),
        (b"GET /v1/models HTTP/1.1\r\nAnthropic-Version: 1\r\n", ANTHROPIC_MESSAGES),
        (b"GET /v1/models HTTP/1.1\r\nX-API-Key: 1\r\n", ANTHROPIC_MESSAGES),
        (b"GET /v1/models?a=/messages HTTP/1.1\r\n", OPENAI_CHAT),
        (b"POST /v1beta/models/m:generateContent HTTP/1.1\r\n", GEMINI),
        (b"POST /v1/models/m:streamGenerateContent?alt=sse HTTP/1.1\r\n", GEMINI),
        (b"POST /models/m:countTokens", GEMINI),
        (b"GET /v1beta/models HTTP/1.1\r\n", GEMINI),
        (b"GET /v1/models HTTP/1.1\r\nX-Goog-Api-Key: 1\r\n", GEMINI),
        (b"POST /v1/models/m:predict HTTP/1.1\r\n", OPENAI_CHAT),
        (b"GET /v1/models?a=:countTokens HTTP/1.1\r\n", OPENAI_CHAT),
        (b"GET / HTTP/1.1\r\nreferer: /messages\r\n", OPENAI_CHAT),
        (b"\x16\x03\x01\x02\x00", None),
        (b"", None),
        (b"GET", None),
        (b"OPTIONS * HTTP/1.1\r\n", None),
        (b"CONNECT host:443 HTTP/1.1\r\n", None),
        (b"P\xc3\xb6ST /v1/messages", None),
    ],
)
def test_the_path_tells(head: bytes, dialect: Dialect | None) -> None:
    assert dialect_of_head(head) is dialect


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", "invalid_request"),
        (404, "not_found_error", "not_found"),
        (408, "timeout_error", "request_timeout"),
        (417, "invalid_request_error", "expectation_failed"),
        (431, "invalid_request_error", "headers_too_large"),
        (500, "api_error", "internal_error"),
        (501, "api_error", "method_not_supported"),
        (503, "overloaded_error", "overloaded"),
        (505, "api_error", "http_version_not_supported"),
    ],
)
def test_each_status_has_an_error_of_each_dialect(status: int, kind: str, code: str) -> None:
    headers, body = refused_head(ANTHROPIC_MESSAGES, status, "Why.", "req_1", 3)
    assert json.loads(body) == {
        "type": "error",
        "error": {"type": kind, "message": "Why."},
        "request_id": "req_1",
    }
    assert dict(headers)[b"request-id"] == b"req_1"
    assert dict(headers)[b"retry-after"] == b"3"
    headers, body = refused_head(OPENAI_CHAT, status, "Why.", "req_1")
    error = json.loads(body)["error"]
    assert (error["message"], error["code"]) == ("Why.", code)
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    assert b"retry-after" not in dict(headers)
