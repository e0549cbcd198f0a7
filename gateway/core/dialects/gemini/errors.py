"""Google's error object, read and written (cloud.google.com/apis/design/errors, AIP-193).

    {"error": {"code": 429, "message": "...", "status": "RESOURCE_EXHAUSTED", "details": [...]}}

`details` are objects with an `@type`: `RetryInfo` says when to come back, `QuotaFailure` which
quota is used up, `ErrorInfo` has a reason for programs. google-genai takes an event for an error if
`error` is its first member, and Gemini CLI asks `code` to be a number.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....errors import GatewayError, QuotaExceeded
from ..base import HeaderList
from ..error_words import decoded, error_headers

_ENCODE: Final = msgspec.json.Encoder().encode
_JSON: Final = (b"content-type", b"application/json; charset=UTF-8")
_TYPE: Final = "type.googleapis.com/google.rpc."
# google/rpc/code.proto, with the HTTP status that each is mapped to.
_STATUS_OF: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_WORD_OF: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
# What the gateway ends a stream for, by its codes; anything else is 500.
_IN_STREAM: Final = {
    "total_timeout": 504,
    "first_event_timeout": 504,
    "idle_timeout": 504,
    "upstream_timeout": 504,
    "server_shutting_down": 503,
    "cancelled_by_operator": 503,
    "overloaded": 503,
    "no_healthy_upstream": 503,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
}
# The code of an error for a prompt that no model of ours takes, in the gateway's own words.
TOO_LONG: Final = "context_length_exceeded"


def status_word(status: int) -> str:
    """Return Google's word for an HTTP status."""
    return _WORD_OF.get(status) or ("INVALID_ARGUMENT" if status < 500 else "INTERNAL")


def error_body(status: int, message: str, details: list[dict[str, Any]] | None = None) -> bytes:
    """Return the error object."""
    error: dict[str, Any] = {"code": status, "message": message, "status": status_word(status)}
    return _ENCODE({"error": error | {"details": details} if details else error})


def error_reply(error: GatewayError, request_id: str = "") -> tuple[HeaderList, bytes]:
    """Return the headers and the body that show `error`."""
    info = {"@type": f"{_TYPE}ErrorInfo", "reason": error.code.upper(), "domain": "gateway"}
    details: list[dict[str, Any]] = [info]
    if isinstance(error, QuotaExceeded):
        # Gemini CLI gives up for a quota of a day, and repeats for everything else.
        violation = {"quotaId": "BudgetPerDay", "description": error.message}
        details.append({"@type": f"{_TYPE}QuotaFailure", "violations": [violation]})
    elif error.retry_after is not None:
        delay = f"{max(0.001, error.retry_after):.3f}s"
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": delay})
    if request_id:
        details.append({"@type": f"{_TYPE}RequestInfo", "requestId": request_id})
    message = too_long(error.message) if error.code == TOO_LONG else error.message
    return [_JSON, *error_headers(error)], error_body(error.status, message, details)


def too_long(message: str) -> str:
    """Return `message` in the words in which Google says that a prompt is too long."""
    return f"The input token count exceeds the maximum number of tokens allowed: {message}"


def stream_error(message: str, code: str) -> bytes:
    """Return the data of an event that ends a stream for `code`, one of the gateway's own."""
    return error_body(_IN_STREAM.get(code, 500), message)


def relayed_error(data: bytes) -> bytes:
    """Return the data of a provider's own error event, as SDKs know one."""
    found = decoded(data)
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, dict) and type(error.get("code")) is int:
        # As it came, but for what stands around it.
        return data if len(found) == 1 else _ENCODE({"error": error})
    status = error_status(data) or 500
    if isinstance(error, dict):
        return _ENCODE({"error": {**error, "code": status, "status": status_word(status)}})
    said = error if isinstance(error, str) else "the provider reports an error"
    return error_body(status, said)


def error_status(body: bytes) -> int | None:
    """Return the HTTP status that an error's code or status stands for; None if it has none."""
    found = decoded(body)
    if not isinstance(found, dict):
        return None
    for holder in (found.get("error"), found):
        if isinstance(holder, dict) and (status := _status(holder)) is not None:
            return status
    return None


def _status(holder: dict[str, Any]) -> int | None:
    for name in ("code", "status"):
        value = holder.get(name)
        if isinstance(value, str):
            if value in _STATUS_OF:
                return _STATUS_OF[value]
            if len(value) == 3 and value.isascii() and value.isdigit():
                value = int(value)
        if type(value) is int and 400 <= value < 600:
            return value
    return None
