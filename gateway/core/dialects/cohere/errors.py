"""Cohere's error: an object with one message (docs.cohere.com/reference/errors), and an id."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....errors import GatewayError
from ...wire.json_scan import NOTHING
from ...wire.sse import SseEvent, encode
from ..base import HeaderList
from ..error_words import decoded, error_headers, read_error
from .event import FAILED, LAST

_ENCODE: Final = msgspec.json.Encoder().encode
_JSON: Final = (b"content-type", b"application/json")
# The code of an error for a prompt that no model of ours takes, in the gateway's own words.
TOO_LONG: Final = "context_length_exceeded"
_FAILED: Final = "the provider reports an error"


def error_body(message: str, *, id: str = "", code: str = "") -> bytes:
    """Return an error; programs may read the `code`, which Cohere's have not."""
    body: dict[str, Any] = {"id": id} if id else {}
    body["message"] = message
    return _ENCODE(body | {"code": code} if code else body)


def error_reply(error: GatewayError, request_id: str = "") -> tuple[HeaderList, bytes]:
    """Return the headers and the body that show `error`."""
    message = too_long(error.message) if error.code == TOO_LONG else error.message
    body = error_body(message, id=request_id, code=error.code)
    return [_JSON, *error_headers(error)], body


def too_long(message: str) -> str:
    """Return `message` in the words that Cohere has for it ("Errors", 400)."""
    return f"too many tokens: total number of tokens in the prompt is too large: {message}"


def error_event(message: str) -> bytes:
    """Return the event that ends a stream badly (`types/chat_message_end_event_delta.py`)."""
    data = {"type": LAST, "delta": {"error": message, "finish_reason": "ERROR"}}
    return encode(SseEvent(_ENCODE(data), LAST.encode()))


def relayed_error_event(data: bytes) -> bytes:
    """Return the event that shows what a provider has sent instead of an answer."""
    found = decoded(data)
    if isinstance(found, dict) and found.get("type") == LAST:
        return encode(SseEvent(data, LAST.encode()))
    return error_event(error_message(data))


def error_message(body: bytes) -> str:
    """Return what an error says, also where the end of an answer says it."""
    found = decoded(body)
    if not isinstance(found, dict):
        return read_error(body)
    delta = found.get("delta") if found.get("type") == LAST else found
    if isinstance(delta, dict) and isinstance(delta.get("error"), str) and delta["error"]:
        return read_error(_ENCODE({"message": delta["error"]}))
    if isinstance(delta, dict) and delta.get("finish_reason") in FAILED:
        return f"{_FAILED}: {delta['finish_reason']}"
    return read_error(body)


def reported_by_answer(body: bytes, fields: dict[str, bytes]) -> bytes | None:
    """Return the error that an answer with these members reports instead of a message."""
    if fields.get("finish_reason", b"null").strip(b'"').decode("latin-1") in FAILED:
        return body
    message = fields.get("message", b"null")
    if fields.get("error", b"null") not in NOTHING:
        return body if not message.startswith(b"{") else None
    # An error's message is a text, and that of an answer an object.
    return body if message.startswith(b'"') else None
