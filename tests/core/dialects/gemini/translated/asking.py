"""Requests and answers from Gemini's dialect to another and back, for tests."""

from __future__ import annotations

import json
from typing import Any

from gateway.core.dialects.base import Dialect
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.core.dialects.translators import TranslatedRequest, translate

from ...canonical.recipient import To

HI = [{"role": "user", "parts": [{"text": "Hi"}]}]


def from_gemini(body: dict[str, Any], target: Dialect, **to: Any) -> TranslatedRequest:
    given = {"model": "m", "contents": HI} | body
    request = GEMINI.read_request(json.dumps(given).encode())
    return translate(request, GEMINI, To(target, **to), 0.0)


def to_gemini(body: dict[str, Any], source: Dialect, **to: Any) -> TranslatedRequest:
    request = source.read_request(json.dumps({"model": "m"} | body).encode())
    return translate(request, source, To(GEMINI, **to), 0.0)


def sent(request: TranslatedRequest) -> dict[str, Any]:
    """Return what the provider gets, without the members that its path says."""
    found: dict[str, Any] = json.loads(request.inner.body_for(To(GEMINI)))
    return found


def whole(request: TranslatedRequest, answer: dict[str, Any]) -> dict[str, Any]:
    """Return what the caller gets of a whole answer."""
    recipient = To(GEMINI)
    body = request.rewrite_answer(recipient, b'"mine"', json.dumps(answer).encode()).body
    found: dict[str, Any] = json.loads(body)
    return found
