from __future__ import annotations

import pytest

from gateway.core.routing.causes import Cause
from gateway.providers.failures import OPENAI_COMPATIBLE

of_status = OPENAI_COMPATIBLE.of_status


@pytest.mark.parametrize(
    ("statuses", "cause"),
    [
        ([200, 201, 204, 299], None),
        ([100, 301, 302, 304, 307, 308, 407, 0], Cause.PROTOCOL_VIOLATION),
        ([401, 402, 403], Cause.AUTH_FAILED),
        ([400, 404, 405, 409, 410, 413, 415, 422, 451, 499], Cause.REJECTED),
        ([429], Cause.RATE_LIMITED),
        ([408, 500, 502, 503, 504, 520, 529, 599, 999], Cause.SERVER_ERROR),
    ],
)
def test_of_status(statuses: list[int], cause: Cause | None) -> None:
    assert {of_status(status) for status in statuses} == {cause}


def test_every_status_has_an_answer_and_only_success_has_no_cause() -> None:
    fine = [status for status in range(1000) if of_status(status) is None]
    assert fine == list(range(200, 300))


OPENAI_CONTEXT = (
    b'{"error":{"message":"This model\'s maximum context length is 8192 tokens.",'
    b'"type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}'
)
VLLM_CONTEXT = b'{"object":"error","message":"This model\'s maximum context length is 4096 tokens"}'
ANTHROPIC_CONTEXT = (
    b'{"type":"error","error":{"type":"invalid_request_error",'
    b'"message":"prompt is too long: 210000 tokens > 200000 maximum"}}'
)
AZURE_POLICY = b'{"error":{"code":"content_filter","status":400,"message":"The response was"}}'
OPENAI_POLICY = b'{"error":{"code": "content_policy_violation"}}'
OPENROUTER_POLICY = (
    b'{"error":{"code":403,"message":"flagged","metadata":{"reasons":["x"],"flagged_input":"y"}}}'
)
QUOTA = b'{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}'
LIMIT = b'{"error":{"type":"tokens","code":"rate_limit_exceeded"}}'


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (400, OPENAI_CONTEXT, Cause.CONTEXT_LENGTH),
        (400, VLLM_CONTEXT, Cause.CONTEXT_LENGTH),
        (400, ANTHROPIC_CONTEXT, Cause.CONTEXT_LENGTH),
        (413, ANTHROPIC_CONTEXT, Cause.CONTEXT_LENGTH),
        (400, AZURE_POLICY, Cause.CONTENT_POLICY),
        (400, OPENAI_POLICY, Cause.CONTENT_POLICY),
        # OpenRouter's 403 says nothing of the key...
        (403, OPENROUTER_POLICY, Cause.CONTENT_POLICY),
        # ...and where it does, it is the key.
        (403, b'{"error":{"message":"key disabled"}}', Cause.AUTH_FAILED),
        (401, OPENROUTER_POLICY, Cause.AUTH_FAILED),
        (429, QUOTA, Cause.AUTH_FAILED),
        (429, LIMIT, Cause.RATE_LIMITED),
        (429, OPENAI_CONTEXT, Cause.RATE_LIMITED),
        # A caller's own words, quoted, name no code.
        (400, b'{"error":{"message":"bad value: insufficient_quota"}}', Cause.REJECTED),
        (400, b'{"error":{"message":"bad value: content_filter"}}', Cause.REJECTED),
        (400, b"", Cause.REJECTED),
        (500, OPENAI_CONTEXT, Cause.SERVER_ERROR),
        (500, AZURE_POLICY, Cause.SERVER_ERROR),
        (503, QUOTA, Cause.SERVER_ERROR),
    ],
)
def test_of_refusal(status: int, body: bytes, cause: Cause) -> None:
    by_status = of_status(status)
    assert by_status is not None
    assert OPENAI_COMPATIBLE.of_body(by_status, status, body) is cause
