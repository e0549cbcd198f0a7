from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.core.routing.causes import Cause
from gateway.providers.failures import GEMINI
from gateway.providers.words.google import read_google_refusal

TYPE = "type.googleapis.com/google.rpc."


def refused(code: int, word: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    error = {"code": code, "message": message, "status": word}
    return {"error": error | ({"details": [*details]} if details else {})}


def quota(*named: str, **more: str) -> dict[str, Any]:
    violations = [{"quotaId": name, **more} for name in named]
    return {"@type": f"{TYPE}QuotaFailure", "violations": violations}


RETRY = {"@type": f"{TYPE}RetryInfo", "retryDelay": "34.4s"}
MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
SPENT = "You exceeded your current quota, please check your plan."


def invalid(reason: str) -> dict[str, Any]:
    return {"@type": f"{TYPE}ErrorInfo", "reason": reason, "domain": "googleapis.com"}


@pytest.mark.parametrize(
    ("body", "cause", "wait"),
    [
        (refused(429, "RESOURCE_EXHAUSTED", SPENT, quota(MINUTE), RETRY), Cause.RATE_LIMITED, 34.4),
        (refused(429, "RESOURCE_EXHAUSTED", SPENT, quota(DAY), RETRY), Cause.RATE_LIMITED, 3600.0),
        (
            refused(429, "RESOURCE_EXHAUSTED", SPENT, quota(MINUTE, DAY), RETRY),
            Cause.RATE_LIMITED,
            3600.0,
        ),
        (
            refused(429, "RESOURCE_EXHAUSTED", SPENT, quota(MINUTE, quotaValue="0")),
            Cause.RATE_LIMITED,
            3600.0,
        ),
        (
            refused(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted"),
            Cause.RATE_LIMITED,
            None,
        ),
        (
            refused(
                *(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
                invalid("API_KEY_INVALID"),
            ),
            Cause.ACCOUNT_REFUSED,
            None,
        ),
        (
            refused(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."),
            Cause.ACCOUNT_REFUSED,
            None,
        ),
        (
            refused(
                *(400, "INVALID_ARGUMENT"),
                "The input token count (1200000) exceeds the maximum number of tokens allowed "
                "(1048576).",
            ),
            Cause.CONTEXT_LENGTH,
            None,
        ),
        (
            refused(400, "INVALID_ARGUMENT", "Function call is missing a thought_signature"),
            Cause.REJECTED,
            None,
        ),
        (
            refused(
                *(400, "INVALID_ARGUMENT"),
                "The prompt violates Google's Generative AI usage guidelines",
            ),
            Cause.CONTENT_POLICY,
            None,
        ),
        (refused(403, "PERMISSION_DENIED", "Method doesn't allow"), Cause.AUTH_FAILED, None),
        (refused(404, "NOT_FOUND", "models/x is not found"), Cause.REJECTED, None),
        (refused(503, "UNAVAILABLE", "The model is overloaded."), Cause.SERVER_ERROR, None),
        (refused(500, "INTERNAL", "An internal error"), Cause.SERVER_ERROR, None),
        (refused(504, "DEADLINE_EXCEEDED", "Deadline expired"), Cause.SERVER_ERROR, None),
    ],
)
def test_what_a_refusal_means(body: dict[str, Any], cause: Cause, wait: float | None) -> None:
    status = body["error"]["code"]
    for raw in (msgspec.json.encode(body), msgspec.json.encode([body])):
        by_status = GEMINI.of_status(status)
        assert by_status is not None
        assert GEMINI.of_body(by_status, status, raw) is cause
        assert read_google_refusal(raw).wait == wait


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"violations", b"[]", b'"violations"', b'{"error":"violations"}'),
        b'{"error":{"details":["violations",{"violations":[5]},{"violations":5}]}}',
    ],
)
def test_whatever_the_bytes_are(body: bytes) -> None:
    assert read_google_refusal(body).wait is None
