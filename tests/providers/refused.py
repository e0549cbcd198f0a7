"""What a refusal comes to in the table of servers that speak OpenAI's API."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.core.routing.causes import Cause
from gateway.providers.failures import OPENAI_COMPATIBLE


def cause_of(status: int, body: Any) -> Cause:
    """Return the cause of a refusal; a text stands for OpenAI's error object with it."""
    if isinstance(body, str):
        body = {"error": {"message": body, "type": "invalid_request_error", "code": None}}
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    by_status = OPENAI_COMPATIBLE.of_status(status)
    assert by_status is not None
    return OPENAI_COMPATIBLE.of_body(by_status, status, raw)
