"""A filter dislikes the request, in the words of many providers."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway.core.routing.causes import Cause

from ..refused import cause_of

CASES: Final[list[Any]] = [
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "The response was filtered due to the prompt triggering Microsoft's "
                    "content management policy. Please modify your prompt and retry."
                ),
                "type": None,
                "param": None,
                "code": "content_filter",
            },
        },
        Cause.CONTENT_POLICY,
        id="azure ms",
    ),
    pytest.param(
        400,
        {
            "error": {
                "inner_error": {
                    "code": "ResponsibleAIPolicyViolation",
                },
                "code": "400",
                "message": "no",
            },
        },
        Cause.CONTENT_POLICY,
        id="azure inner_error",
    ),
    pytest.param(
        400,
        {
            "error": {
                "innerError": {
                    "code": "ResponsibleAIPolicyViolation",
                },
                "code": "400",
                "message": "no",
            },
        },
        Cause.CONTENT_POLICY,
        id="azure camel",
    ),
    pytest.param(
        400,
        {
            "error": {
                "code": "content_filter",
                "message": "x",
            },
        },
        Cause.CONTENT_POLICY,
        id="azure foundry claude",
    ),
    pytest.param(
        400,
        {
            "error": {
                "type": "content_filter",
                "message": "The request was rejected because it was considered high risk",
            },
        },
        Cause.CONTENT_POLICY,
        id="moonshot type",
    ),
    pytest.param(
        400,
        {
            "error": {
                "code": "DataInspectionFailed",
                "message": "Input text data may contain inappropriate content.",
            },
        },
        Cause.CONTENT_POLICY,
        id="dashscope in",
    ),
    pytest.param(
        400,
        {
            "error": {
                "code": "data_inspection_failed",
                "message": "Output data may contain inappropriate content.",
                "type": "data_inspection_failed",
            },
        },
        Cause.CONTENT_POLICY,
        id="dashscope out stream",
    ),
    pytest.param(
        400,
        {
            "error": {
                "code": "ip_infringement_suspect",
                "message": "Input data is suspected of being involved in IP infringement.",
            },
        },
        Cause.CONTENT_POLICY,
        id="dashscope suspected",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "<400> InternalError.Algo.DataInspectionFailed: Input text data may "
                    "contain inappropriate content."
                ),
                "type": "invalid_request_error",
                "code": "invalid_parameter_error",
            },
        },
        Cause.CONTENT_POLICY,
        id="dashscope msg",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "Invalid prompt: we've limited access to this content for safety "
                    "reasons. This type of information may be used to benefit or to harm "
                    "people."
                ),
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_prompt",
            },
        },
        Cause.CONTENT_POLICY,
        id="openai flag",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "This content was flagged for possible cybersecurity risk.",
                "type": "invalid_request_error",
                "param": None,
                "code": "cyber_policy_violation",
            },
        },
        Cause.CONTENT_POLICY,
        id="openai bio",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": ("Your request was flagged as potentially violating our usage policy."),
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_prompt",
            },
        },
        Cause.CONTENT_POLICY,
        id="openai bio 400",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "Your request was rejected by the safety system. If you believe this is "
                    "an error, contact us"
                ),
                "type": "image_generation_user_error",
                "param": None,
                "code": "moderation_blocked",
            },
        },
        Cause.CONTENT_POLICY,
        id="openai image",
    ),
    pytest.param(
        403,
        {
            "code": "The caller does not have permission to execute the specified operation",
            "error": (
                "Content violates usage guidelines. Team: 1f, API key ID: a, Model: "
                "grok-4-fast, Failed check: SAFETY_CHECK_TYPE_CSAM"
            ),
        },
        Cause.CONTENT_POLICY,
        id="xai csam",
    ),
    pytest.param(
        400,
        {
            "code": "invalid-argument",
            "error": "Generated image rejected by content moderation.",
        },
        Cause.CONTENT_POLICY,
        id="xai image",
    ),
    pytest.param(
        403,
        {
            "code": "permission-denied",
            "error": "Failed check: SAFETY_CHECK_TYPE_DATA_LEAKAGE",
        },
        Cause.CONTENT_POLICY,
        id="xai data leak",
    ),
    pytest.param(
        403,
        {
            "object": "error",
            "message": "Content moderation failed: the input was flagged by the guardrail",
            "type": "content_moderation",
            "code": "1600",
        },
        Cause.CONTENT_POLICY,
        id="mistral mod",
    ),
    pytest.param(
        403,
        {
            "object": "error",
            "message": "Guardrail violation: input blocked",
            "type": "guardrail_violation",
        },
        Cause.CONTENT_POLICY,
        id="mistral guard",
    ),
    pytest.param(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Output blocked by content filtering policy",
            },
        },
        Cause.CONTENT_POLICY,
        id="anthropic",
    ),
    pytest.param(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "This request violates our Acceptable Use Policy",
            },
        },
        Cause.CONTENT_POLICY,
        id="anthropic aup",
    ),
    pytest.param(
        400,
        (
            "Claude Code is unable to respond to this request, which appears to "
            "violate our Usage Policy"
        ),
        Cause.CONTENT_POLICY,
        id="anthropic aup2",
    ),
    pytest.param(
        400,
        {
            "message": "Guardrail was enabled and blocked the input",
            "__type": "ValidationException",
        },
        Cause.CONTENT_POLICY,
        id="bedrock g",
    ),
    pytest.param(
        400,
        {
            "message": "This request has been blocked by our content filters.",
        },
        Cause.CONTENT_POLICY,
        id="bedrock titan",
    ),
    pytest.param(
        400,
        {
            "message": (
                "Your request was blocked due to content that conflicts with AWS "
                "Responsible AI Policy."
            ),
        },
        Cause.CONTENT_POLICY,
        id="bedrock RAI",
    ),
    pytest.param(
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "Request blocked due to safety settings",
                    "status": "INVALID_ARGUMENT",
                },
            }
        ],
        Cause.CONTENT_POLICY,
        id="gemini",
    ),
    pytest.param(
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The response was blocked: RECITATION",
                },
            }
        ],
        Cause.CONTENT_POLICY,
        id="gemini rec",
    ),
    pytest.param(
        400,
        (
            "Unable to show generated images. All images were filtered out because "
            "they violated Vertex AI's usage guidelines."
        ),
        Cause.CONTENT_POLICY,
        id="vertex",
    ),
    pytest.param(
        400,
        "The response is blocked due to violating the Gemini safety policy",
        Cause.CONTENT_POLICY,
        id="vertex2",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "Content Exists Risk",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_request_error",
            },
        },
        Cause.CONTENT_POLICY,
        id="deepseek",
    ),
    pytest.param(
        403,
        {
            "error": {
                "message": "Input flagged by moderation",
                "type": None,
                "param": None,
                "code": 403,
                "metadata": {
                    "reasons": ["violence"],
                    "flagged_input": "kill",
                    "provider_name": "OpenAI",
                },
            },
        },
        Cause.CONTENT_POLICY,
        id="openrouter 403",
    ),
    pytest.param(
        403,
        {
            "error": {
                "code": 403,
                "message": "Input was flagged",
                "metadata": {
                    "reasons": ["violence"],
                    "provider_name": "OpenAI",
                },
            },
        },
        Cause.CONTENT_POLICY,
        id="openrouter reasons",
    ),
    pytest.param(
        400,
        {
            "contentFilter": [
                {
                    "level": 1,
                    "role": "user",
                }
            ],
            "error": {
                "code": "1301",
                "message": "系统检测到输入或生成内容可能包含不安全或敏感内容",
            },
        },
        Cause.CONTENT_POLICY,
        id="zhipu zh",
    ),
    pytest.param(
        400,
        {
            "error": {
                "code": "SensitiveContentDetected",
                "message": (
                    "The request failed because the input text may contain sensitive information."
                ),
                "type": "BadRequest",
            },
        },
        Cause.CONTENT_POLICY,
        id="volc",
    ),
    pytest.param(
        400,
        {
            "error": {
                "code": "InputTextSensitiveContentDetected.PolicyViolation",
                "message": "x",
                "type": "BadRequest",
            },
        },
        Cause.CONTENT_POLICY,
        id="volc suffix",
    ),
    pytest.param(
        400,
        {
            "error": {
                "code": "InputImageSensitiveContentDetected",
                "message": "x",
            },
        },
        Cause.CONTENT_POLICY,
        id="volc image",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "input new_sensitive (1026)",
                "type": "bad_request_error",
            },
        },
        Cause.CONTENT_POLICY,
        id="minimax",
    ),
    pytest.param(
        451,
        {
            "error": {
                "message": "The content you provided or machine outputted is blocked.",
                "type": "censorship_blocked",
            },
        },
        Cause.CONTENT_POLICY,
        id="stepfun",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "内容不合规 sensitive",
                "code": "content_filter",
            },
        },
        Cause.CONTENT_POLICY,
        id="hunyuan",
    ),
    pytest.param(
        451,
        {
            "message": "Request blocked due to sensitive content",
        },
        Cause.CONTENT_POLICY,
        id="siliconflow",
    ),
    pytest.param(
        403,
        {
            "error": {
                "message": ("Your request was blocked: unsafe content detected by Llama Guard"),
                "type": "safety_error",
                "param": None,
                "code": None,
            },
        },
        Cause.CONTENT_POLICY,
        id="together",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "litellm.ContentPolicyViolationError: litellm.BadRequestError: AzureException"
                ),
                "type": "None",
                "param": None,
                "code": "400",
            },
        },
        Cause.CONTENT_POLICY,
        id="litellm cpv",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "Violated content safety policy",
                "type": "None",
                "param": None,
                "code": "400",
            },
        },
        Cause.CONTENT_POLICY,
        id="litellm presidio",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "Violated guardrail policy",
                "type": "None",
                "param": None,
                "code": "400",
            },
        },
        Cause.CONTENT_POLICY,
        id="litellm guardrail",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "Your request was flagged by our content moderation",
                "type": "invalid_request_error",
                "param": None,
                "code": "content_moderation",
            },
        },
        Cause.CONTENT_POLICY,
        id="groq",
    ),
    pytest.param(
        403,
        {
            "error": {
                "message": "This message was flagged by the safety filter",
                "type": "moderation_error",
                "param": None,
                "code": None,
            },
        },
        Cause.CONTENT_POLICY,
        id="poe",
    ),
]


@pytest.mark.parametrize(("status", "body", "cause"), CASES)
def test_disliked(status: int, body: Any, cause: Cause) -> None:
    assert cause_of(status, body) is cause


@pytest.mark.parametrize(
    "text",
    [
        "User is not authorized to perform: bedrock:InvokeModel because no policy allows it",
        "You do not have access to the model",
        "Request blocked",
        "This API key is not allowed to use this model",
        "IP address 10.0.0.1 is not in the allow list of this workspace",
    ],
)
def test_other_refusals_are_not_about_content(text: str) -> None:
    assert cause_of(403, text) is Cause.AUTH_FAILED
