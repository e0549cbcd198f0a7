"""Answers that the gateway writes itself, in OpenAI's shapes."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from ..errors import GatewayError, MethodNotAllowed

HeaderList = list[tuple[bytes, bytes]]

_ENCODE: Final = msgspec.json.Encoder().encode
_JSON: Final = (b"content-type", b"application/json")


def error_body(message: str, kind: str, code: str | None, param: str | None = None) -> bytes:
    """Return OpenAI's error object; all four members are always there, as its SDK expects."""
    return _ENCODE({"error": {"message": message, "type": kind, "param": param, "code": code}})


def error_reply(error: GatewayError) -> tuple[HeaderList, bytes]:
    """Return the headers and the body that show `error`."""
    headers: HeaderList = [_JSON]
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    if error.retry_after is not None:
        # Rounded up: a client that comes back too early is refused again. And not 0, which the
        # SDKs take for no answer (openai-python, `_calculate_retry_timeout`).
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
        headers.append((b"retry-after-ms", b"%d" % max(1, math.ceil(error.retry_after * 1000))))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode("ascii")))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))  # RFC 9110 section 15.5.2
    return headers, error_body(error.message, error.type, error.code, error.param)


def json_reply(value: object) -> tuple[HeaderList, bytes]:
    return [_JSON], _ENCODE(value)
