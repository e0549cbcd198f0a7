"""Ollama's error: an object with one text (api/types.go, `StatusError`)."""

from __future__ import annotations

from typing import Final

import msgspec

from ....errors import GatewayError
from ..base import HeaderList
from ..error_words import error_headers

_ENCODE: Final = msgspec.json.Encoder().encode


def error_body(message: str, code: str | None = None) -> bytes:
    """Return an error; programs may read the `code`, which Ollama's have not."""
    return _ENCODE({"error": message} if code is None else {"error": message, "code": code})


def error_reply(error: GatewayError) -> tuple[HeaderList, bytes]:
    headers = [(b"content-type", b"application/json"), *error_headers(error)]
    return headers, error_body(error.message, error.code)


def error_line(message: str, code: str) -> bytes:
    """Return the line that ends a stream badly."""
    return error_body(message, code) + b"\n"
