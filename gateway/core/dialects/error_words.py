"""What the errors of all dialects have in common: HTTP's headers, and words for a person."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from ...errors import GatewayError, MethodNotAllowed
from ..wire.plain_text import is_text
from .base import CUT, HeaderList

# What is shown of an error, in characters, and what of one without a message is looked at.
_SHOWN: Final = 300
_LOOKED_AT: Final = 1000


def error_headers(error: GatewayError) -> HeaderList:
    """Return the headers of an error that are HTTP's, or that SDKs of several dialects obey.

    `x-should-retry` and `retry-after-ms` are read by every SDK that Stainless generates, OpenAI's
    and Anthropic's among them (openai-python `_base_client.py`).
    """
    headers: HeaderList = []
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    if error.retry_after is not None:
        # Rounded up: a client that comes back too early is refused again. And not 0, which the
        # SDKs take for no answer (openai-python, `_calculate_retry_timeout`).
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
        headers.append((b"retry-after-ms", b"%d" % max(1, math.ceil(error.retry_after * 1000))))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode("ascii")))
    if error.status == 426:
        headers.append((b"upgrade", b"HTTP/1.1"))  # RFC 9110 section 15.5.22
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))  # RFC 9110 section 15.5.2
    return headers


def read_error(body: bytes) -> str:
    """Return what an error says, for a person: short, on one line."""
    found = decoded(body)
    if isinstance(found, dict):
        error = found.get("error") or found
        message = error.get("message") if isinstance(error, dict) else error
        if isinstance(message, str):
            return _short(message)
    if not is_text(body):
        # Compressed, most likely, and nothing to put into a message or a log.
        return f"{len(body)} bytes that are no text"
    return _short(body[:_LOOKED_AT].decode("utf-8", "replace"))


def decoded(body: bytes) -> Any:
    """Return what `body` is in JSON; None if it is none."""
    try:
        found = msgspec.json.decode(body)
        # Gemini's compatible endpoint puts its errors into a list.
        return found[0] if isinstance(found, list) and len(found) == 1 else found
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - len(CUT)] + CUT
