"""OpenAI's error object, read and written (platform.openai.com/docs/guides/error-codes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ....errors import GatewayError
from ..base import CUT, HeaderList, error_headers

_ENCODE: Final = msgspec.json.Encoder().encode
_JSON: Final = (b"content-type", b"application/json")
_NO_DETAILS: Final[Mapping[str, Any]] = {}

# What is shown of an error, in characters.
_SHOWN: Final = 300


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


def read_error(body: bytes) -> str:
    """Return what an error says, for a person: short, on one line."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if isinstance(found, dict):
        error = found.get("error", found)
        message = error.get("message") if isinstance(error, dict) else error
        if isinstance(message, str):
            return _short(message)
    return _short(body[:1000].decode("utf-8", "replace"))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - len(CUT)] + CUT
