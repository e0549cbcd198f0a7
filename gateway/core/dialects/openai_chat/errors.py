"""OpenAI's error object, read and written (platform.openai.com/docs/guides/error-codes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ....errors import GatewayError
from ...wire.plain_text import is_text
from ..base import CUT, HeaderList, error_headers

_ENCODE: Final = msgspec.json.Encoder().encode
_JSON: Final = (b"content-type", b"application/json")
_NO_DETAILS: Final[Mapping[str, Any]] = {}

# What is shown of an error, in characters, and what of one without a message is looked at.
_SHOWN: Final = 300
_LOOKED_AT: Final = 1000

# Where an error has its code; the most exact comes first. OpenRouter's `code` is a number.
_STATUS_NAMES: Final = ("code", "status", "status_code", "statusCode", "http_status", "type")
# The statuses of the codes and types in OpenAI's guide to error codes, and of the types that
# servers with Anthropic's API behind them relay (docs.anthropic.com/en/api/errors).
_STATUS_OF: Final = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "invalid_prompt": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "server_error": 500,
    "api_error": 500,
    "overloaded_error": 529,
    # Moonshot (platform.moonshot.ai, "Error codes").
    "invalid_authentication_error": 401,
    "exceeded_current_quota_error": 429,
    "rate_limit_reached_error": 429,
    "engine_overloaded_error": 429,
    # The types of vLLM and SGLang, whose code is a number where they have one.
    "BadRequestError": 400,
    "NotFoundError": 404,
    "RateLimitError": 429,
    "InternalServerError": 500,
    # google.rpc.Code, as Gemini's `status` has it.
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    # Bedrock (API reference, "Common errors") and DashScope (its error codes).
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "ThrottlingException": 429,
    "Throttling": 429,
    "Throttling.RateQuota": 429,
    "Throttling.AllocationQuota": 429,
    "InvalidParameter": 400,
    "InvalidApiKey": 401,
    # What servers call them that have names of their own.
    "too_many_requests": 429,
    "rate_limited": 429,
    "service_unavailable": 503,
    "overloaded": 503,
    "unauthorized": 401,
    "bad_request": 400,
}


def error_body(
    message: str,
    kind: str,
    code: str | None,
    param: str | None = None,
    details: Mapping[str, Any] = _NO_DETAILS,
) -> bytes:
    """Return the error object; its four members are always there, as OpenAI's SDK expects."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return _ENCODE({"error": {**error, **details}})


def error_reply(error: GatewayError) -> tuple[HeaderList, bytes]:
    """Return the headers and the body that show `error`."""
    body = error_body(error.message, error.type, error.code, error.param, error.details)
    return [_JSON, *error_headers(error)], body


def error_event(message: str, code: str, kind: str) -> bytes:
    """Return the event at which OpenAI's SDKs raise (openai-python `_streaming.py`)."""
    return relayed_error_event(error_body(message, kind, code))


def relayed_error_event(data: bytes) -> bytes:
    """Return the event that has `data`, which may be several lines."""
    return b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def error_status(body: bytes) -> int | None:
    """Return the HTTP status that an error's own code stands for; None if it has none."""
    found = _decode(body)
    if not isinstance(found, dict):
        return None
    error = found.get("error")
    for holder in (error, found):
        if not isinstance(holder, dict):
            continue
        for name in _STATUS_NAMES:
            if (status := _status(holder.get(name))) is not None:
                return status
    return None


def _status(code: object) -> int | None:
    if isinstance(code, str):
        if code in _STATUS_OF:
            return _STATUS_OF[code]
        code = int(code) if len(code) == 3 and code.isascii() and code.isdigit() else None
    if isinstance(code, bool) or not isinstance(code, int | float) or not 400 <= code < 600:
        return None
    return int(code)


def read_error(body: bytes) -> str:
    """Return what an error says, for a person: short, on one line."""
    found = _decode(body)
    if isinstance(found, dict):
        error = found.get("error") or found
        message = error.get("message") if isinstance(error, dict) else error
        if isinstance(message, str):
            return _short(message)
    if not is_text(body):
        # Compressed, most likely, and nothing to put into a message or a log.
        return f"{len(body)} bytes that are no text"
    return _short(body[:_LOOKED_AT].decode("utf-8", "replace"))


def _decode(body: bytes) -> Any:
    try:
        found = msgspec.json.decode(body)
        # Gemini's compatible endpoint puts its errors into a list.
        return found[0] if isinstance(found, list) and len(found) == 1 else found
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - len(CUT)] + CUT
