"""Rate limits, and requests that are too large for one, in the words of many providers."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway.core.routing.causes import Cause

from ..refused import cause_of

CASES: Final[list[Any]] = [
    pytest.param(
        429,
        {
            "error": {
                "message": (
                    "Request too large for gpt-4o in organization org-x on tokens per min "
                    "(TPM): Limit 30000, Requested 60000. The input or output tokens must "
                    "be reduced"
                ),
                "type": "tokens",
                "param": None,
                "code": "rate_limit_exceeded",
            },
        },
        Cause.REQUEST_TOO_LARGE,
        id="openai tpm",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": (
                    "Rate limit reached for gpt-4o in organization org-x on tokens per min "
                    "(TPM): Limit 30,000, Used 0, Requested 60,000."
                ),
                "type": "tokens",
                "param": None,
                "code": "rate_limit_exceeded",
            },
        },
        Cause.REQUEST_TOO_LARGE,
        id="openai decimals",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": "Limit: 30000 / min. Current: 20010 / min. ",
                "type": "requests",
                "param": None,
                "code": "rate_limit_exceeded",
            },
        },
        Cause.RATE_LIMITED,
        id="openai colon",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": (
                    "Request too large for gpt-4.1-long-context in organization org on "
                    "tokens per min (TPM): Limit 200000, Requested 250000"
                ),
                "type": "tokens",
                "param": None,
                "code": "rate_limit_exceeded",
            },
        },
        Cause.REQUEST_TOO_LARGE,
        id="openai long ctx",
    ),
    pytest.param(
        429,
        (
            "Request too large for gpt-4 (for limit gpt-4) on tokens per day (TPD): "
            "Limit 10000, Requested 20000"
        ),
        Cause.REQUEST_TOO_LARGE,
        id="openai tpd",
    ),
    pytest.param(
        429,
        {
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": (
                    "This request would exceed your organization's rate limit of 30,000 "
                    "input tokens per minute"
                ),
            },
        },
        Cause.REQUEST_TOO_LARGE,
        id="anthropic",
    ),
    pytest.param(
        429,
        {
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": (
                    "This request would exceed your organization\u2019s rate limit of 30,000 "
                    "input tokens per minute (org: o, model: claude)"
                ),
            },
        },
        Cause.REQUEST_TOO_LARGE,
        id="anthropic model",
    ),
    pytest.param(
        429,
        {
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": (
                    "This request would exceed your account's rate limit. Please try again later."
                ),
            },
        },
        Cause.RATE_LIMITED,
        id="anthropic acc",
    ),
    pytest.param(
        429,
        {
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": "Extra usage is required for long context requests.",
            },
        },
        Cause.REQUEST_TOO_LARGE,
        id="anthropic long",
    ),
    pytest.param(
        429,
        {
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": "Usage credits are required for long context requests.",
            },
        },
        Cause.REQUEST_TOO_LARGE,
        id="anthropic long2",
    ),
    pytest.param(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": ("The long context beta is not yet available for this subscription."),
            },
        },
        Cause.REJECTED,
        id="anthropic long beta",
    ),
    pytest.param(
        413,
        {
            "error": {
                "message": (
                    "Request too large for model `llama-3.1-8b-instant` in organization "
                    "`org` service tier `on_demand` on tokens per minute (TPM): Limit 6000, "
                    "Requested 9000, please reduce your message size and try again."
                ),
                "type": "tokens",
                "param": None,
                "code": "rate_limit_exceeded",
            },
        },
        Cause.REQUEST_TOO_LARGE,
        id="groq 413",
    ),
    pytest.param(
        429,
        {
            "object": "error",
            "message": "Requested tokens exceed your tokens per minute limit of 500000",
            "type": "rate_limited",
            "code": "1300",
        },
        Cause.REQUEST_TOO_LARGE,
        id="mistral tpm",
    ),
    pytest.param(
        429,
        {
            "message": "Tokens per minute limit exceeded - too many tokens processed.",
            "type": "too_many_tokens_error",
            "param": "quota",
            "code": "token_quota_exceeded",
        },
        Cause.RATE_LIMITED,
        id="cerebras",
    ),
    pytest.param(
        429,
        {
            "message": (
                "Request exceeds your tokens per minute limit: requested 70000, limit 60000"
            ),
            "type": "too_many_tokens_error",
            "code": "token_quota_exceeded",
        },
        Cause.REQUEST_TOO_LARGE,
        id="cerebras req",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": (
                    "Requests to the ChatCompletions_Create Operation under Azure OpenAI "
                    "API version 2024-02-01 have exceeded token rate limit of your current "
                    "AIServices S0 pricing tier. Please retry after 86400 seconds."
                ),
                "type": None,
                "param": None,
                "code": "429",
            },
        },
        Cause.RATE_LIMITED,
        id="azure",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": (
                    "The request's token count (40000) exceeds the deployment's tokens per "
                    "minute limit (10000)"
                ),
                "type": None,
                "param": None,
                "code": "429",
            },
        },
        Cause.REQUEST_TOO_LARGE,
        id="azure2",
    ),
    pytest.param(
        413,
        {
            "error": {
                "message": ("Request body too large for gpt-4o model. Max size: 8000 tokens."),
                "type": None,
                "param": None,
                "code": "tokens_limit_reached",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="github",
    ),
    pytest.param(
        429,
        {
            "message": "Too many tokens, please wait before trying again.",
        },
        Cause.RATE_LIMITED,
        id="bedrock",
    ),
    pytest.param(
        429,
        [
            {
                "error": {
                    "code": 429,
                    "message": "Resource exhausted. Please try again later.",
                    "status": "RESOURCE_EXHAUSTED",
                },
            }
        ],
        Cause.RATE_LIMITED,
        id="vertex quota",
    ),
    pytest.param(
        429,
        [
            {
                "error": {
                    "code": 429,
                    "message": (
                        "You exceeded your current quota, please check your plan and billing "
                        "details. For more information on this error, head to: "
                        "https://ai.google.dev/gemini-api/docs/rate-limits. * Quota exceeded "
                        "for metric: "
                        "generativelanguage.googleapis.com/free_tier_input_token_count, "
                        "limit: 250000"
                    ),
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [
                        {
                            "@type": ("type.googleapis.com/google.rpc.QuotaFailure"),
                        },
                        {
                            "@type": ("type.googleapis.com/google.rpc.RetryInfo"),
                            "retryDelay": "37s",
                        },
                    ],
                },
            }
        ],
        Cause.RATE_LIMITED,
        id="gemini quota",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": (
                    "Request was rejected due to request rate limiting. Your rate limits "
                    "are 60 RPM (1 QPS) and 60000 TPM (1000 tokens per second). Please "
                ),
                "type": "model_rate_limit",
                "param": None,
                "code": None,
            },
        },
        Cause.RATE_LIMITED,
        id="together",
    ),
    pytest.param(
        429,
        "Request didn't generate first token before the given deadline",
        Cause.RATE_LIMITED,
        id="fireworks",
    ),
    pytest.param(429, "Rate limit exceeded", Cause.RATE_LIMITED, id="sambanova"),
    pytest.param(
        429,
        {
            "message": "You are using a Trial key, which is limited to 20 API calls / minute",
        },
        Cause.RATE_LIMITED,
        id="cohere",
    ),
    pytest.param(
        429,
        {
            "error": {
                "code": "1302",
                "message": "您当前使用该API的并发数过高",
            },
        },
        Cause.RATE_LIMITED,
        id="zhipu conc",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": (
                    "You exceeded your current quota, please check your plan and billing "
                    "details. For details, see: "
                    "https://help.aliyun.com/zh/model-studio/error-code#token-limit"
                ),
                "type": "insufficient_quota",
                "param": None,
                "code": "insufficient_quota",
            },
            "request_id": "r",
        },
        Cause.RATE_LIMITED,
        id="dash throttle",
    ),
    pytest.param(
        429,
        {
            "error": {
                "code": "insufficient_quota",
                "message": "Allocated quota exceeded, please increase your quota limit.",
            },
        },
        Cause.RATE_LIMITED,
        id="dash throttle2",
    ),
    pytest.param(
        429,
        {
            "error": {
                "code": "Throttling.AllocationQuota",
                "message": "Allocated quota exceeded, please increase your quota limit.",
                "type": "insufficient_quota",
            },
        },
        Cause.RATE_LIMITED,
        id="dash code",
    ),
    pytest.param(
        402,
        {
            "error": {
                "message": (
                    "This request requires more credits, or fewer max_tokens. You requested "
                    "up to 4096 tokens, but can only afford 222."
                ),
                "type": None,
                "param": None,
                "code": 402,
            },
        },
        Cause.REQUEST_TOO_LARGE,
        id="openrouter key afford",
    ),
    pytest.param(
        429,
        {
            "error": {
                "code": "RateLimitExceeded.EndpointTPMExceeded",
                "message": (
                    "The Tokens Per Minute (TPM) limit of the associated endpoint for your "
                    "account has been exceeded."
                ),
                "type": "TooManyRequests",
            },
        },
        Cause.RATE_LIMITED,
        id="volc ratelimit",
    ),
    pytest.param(
        400,
        {
            "__type": "ThrottlingException",
            "message": "Rate exceeded",
        },
        Cause.RATE_LIMITED,
        id="bedrock 400 throttle",
    ),
]


@pytest.mark.parametrize(("status", "body", "cause"), CASES)
def test_limited_or_too_large(status: int, body: Any, cause: Cause) -> None:
    assert cause_of(status, body) is cause


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("requested 70000 tokens, limit 60000 per minute", Cause.REQUEST_TOO_LARGE),
        ("requested 7000 tokens, limit 60000 per minute", Cause.RATE_LIMITED),
        ("Rate limit reached: requested 3 of limit 0", Cause.RATE_LIMITED),
        ("You have exceeded your requests per minute limit of 20", Cause.RATE_LIMITED),
        ("This request exceeds your token limit", Cause.REQUEST_TOO_LARGE),
        ("Request limit exceeded", Cause.RATE_LIMITED),
        ("Requests per minute limit exceeded: 61 requests, limit 60", Cause.RATE_LIMITED),
        ("Rate limit exceeded: free-models-per-day", Cause.RATE_LIMITED),
    ],
)
def test_only_what_never_fits_is_too_large(text: str, cause: Cause) -> None:
    assert cause_of(429, text) is cause


@pytest.mark.parametrize("status", [424, 425, 498])
def test_other_statuses_of_trouble(status: int) -> None:
    expected = Cause.RATE_LIMITED if status == 498 else Cause.SERVER_ERROR
    assert cause_of(status, "no") is expected
