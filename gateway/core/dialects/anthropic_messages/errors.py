"""Anthropic's error object, read and written (docs.anthropic.com/en/api/errors)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....errors import GatewayError, QuotaExceeded
from ...wire.sse import SseEvent, encode
from ..base import HeaderList
from ..error_words import decoded, error_headers

_ENCODE: Final = msgspec.json.Encoder().encode
_JSON: Final = (b"content-type", b"application/json")

# The statuses and their types in Anthropic's documentation, "HTTP errors".
_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STATUS_OF: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
# The code of an error for a prompt that no model of ours takes, in the gateway's own words.
TOO_LONG: Final = "context_length_exceeded"
# What the gateway ends a stream for, by its codes; anything else is an `api_error`.
_IN_STREAM: Final = {
    "total_timeout": "timeout_error",
    "first_event_timeout": "timeout_error",
    "idle_timeout": "timeout_error",
    "upstream_timeout": "timeout_error",
    "server_shutting_down": "overloaded_error",
    "overloaded": "overloaded_error",
    "no_healthy_upstream": "overloaded_error",
    "rate_limit_exceeded": "rate_limit_error",
}


def error_type(status: int) -> str:
    """Return the type of an error with `status`."""
    return _TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")


def error_body(kind: str, message: str, request_id: str = "") -> bytes:
    """Return the error object; the SDK reads `request_id` from the body as well."""
    body: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message}}
    return _ENCODE(body | {"request_id": request_id} if request_id else body)


def error_reply(error: GatewayError, request_id: str = "") -> tuple[HeaderList, bytes]:
    """Return the headers and the body that show `error`."""
    kind = "billing_error" if isinstance(error, QuotaExceeded) else error_type(error.status)
    message = too_long(error.message) if error.code == TOO_LONG else error.message
    return [_JSON, *error_headers(error)], error_body(kind, message, request_id)


def too_long(message: str) -> str:
    """Return `message` in the words that Claude Code looks for before it compacts.

    (code.claude.com/docs, "LLM gateway".)
    """
    return f"prompt is too long: {message}"


def error_event(message: str, code: str) -> bytes:
    """Return the event at which Anthropic's SDKs raise (anthropic-sdk-python `_streaming.py`)."""
    return relayed_error_event(error_body(_IN_STREAM.get(code, "api_error"), message))


def relayed_error_event(data: bytes) -> bytes:
    """Return the event that has `data`."""
    return encode(SseEvent(data, b"error"))


def error_status(body: bytes) -> int | None:
    """Return the HTTP status that an error's type stands for; None if it has none."""
    found = decoded(body)
    if not isinstance(found, dict):
        return None
    for holder in (found.get("error"), found):
        if isinstance(holder, dict) and (status := _status(holder)) is not None:
            return status
    return None


def _status(holder: dict[str, Any]) -> int | None:
    kind = holder.get("type")
    if isinstance(kind, str) and kind in _STATUS_OF:
        return _STATUS_OF[kind]
    for name in ("status", "code", "http_code"):
        # Servers that are compatible have numbers, and MiniMax has digits.
        code = holder.get(name)
        if isinstance(code, str) and len(code) == 3 and code.isascii() and code.isdigit():
            code = int(code)
        if type(code) is int and 400 <= code < 600:
            return code
    return None
