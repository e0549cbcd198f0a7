from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.routing.causes import Cause
from gateway.providers.failures import OPENAI_COMPATIBLE

of_status = OPENAI_COMPATIBLE.of_status
RECORDED = (
    Path(__file__).parents[3] / "shared" / "recordings" / "google" / "google-429-retry-info.json"
)


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
AZURE_POLICY = b'{"error":{"code":"content_filter","status":400,"message":"The response was"}}'
OPENAI_POLICY = b'{"error":{"code": "content_policy_violation"}}'
OPENROUTER_POLICY = (
    b'{"error":{"code":403,"message":"flagged","metadata":{"reasons":["x"],"flagged_input":"y"}}}'
)
QUOTA = b'{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}'
LIMIT = b'{"error":{"type":"tokens","code":"rate_limit_exceeded"}}'


def cause_of(status: int, body: bytes | str | dict[str, Any]) -> Cause:
    """Return the cause of a refusal; a text stands for OpenAI's error object with it."""
    if isinstance(body, str):
        body = {"error": {"message": body, "type": "invalid_request_error", "code": None}}
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    by_status = of_status(status)
    assert by_status is not None
    return OPENAI_COMPATIBLE.of_body(by_status, status, raw)


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (400, OPENAI_CONTEXT, Cause.CONTEXT_LENGTH),
        (400, AZURE_POLICY, Cause.CONTENT_POLICY),
        (400, OPENAI_POLICY, Cause.CONTENT_POLICY),
        # OpenRouter's 403 says nothing of the key...
        (403, OPENROUTER_POLICY, Cause.CONTENT_POLICY),
        # ...and where it does, it is the key.
        (403, b'{"error":{"message":"no access"}}', Cause.AUTH_FAILED),
        (401, OPENROUTER_POLICY, Cause.AUTH_FAILED),
        (429, QUOTA, Cause.AUTH_FAILED),
        (429, LIMIT, Cause.RATE_LIMITED),
        (429, OPENAI_CONTEXT, Cause.RATE_LIMITED),
        (400, b"", Cause.REJECTED),
        # It is the request, whatever the status.
        (500, OPENAI_CONTEXT, Cause.CONTEXT_LENGTH),
        (500, AZURE_POLICY, Cause.CONTENT_POLICY),
        (503, QUOTA, Cause.SERVER_ERROR),
    ],
)
def test_of_refusal(status: int, body: bytes, cause: Cause) -> None:
    assert cause_of(status, body) is cause


def test_an_error_within_a_200_is_read_the_same_way() -> None:
    of_body = OPENAI_COMPATIBLE.of_body
    assert of_body(Cause.STREAM_ERROR, 200, OPENAI_CONTEXT) is Cause.CONTEXT_LENGTH
    assert of_body(Cause.STREAM_ERROR, 200, AZURE_POLICY) is Cause.CONTENT_POLICY
    assert of_body(Cause.STREAM_ERROR, 200, b'{"error":"overloaded"}') is Cause.STREAM_ERROR


# As their users reported them; the numbers and names are made up.
TOO_LONG: dict[str, tuple[int, str | dict[str, Any]]] = {
    "OpenAI": (400, "Your input exceeds the context window of this model. Please adjust it."),
    "OpenAI's configured limit": (400, "Input tokens exceed the configured limit of 272000."),
    "vLLM, messages": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you "
            "requested 5000 tokens (4000 in the messages, 1000 in the completion). Please reduce "
            "the length of the messages or completion. None",
            "type": "BadRequestError",
            "code": 400,
        },
    ),
    "vLLM, total": (
        400,
        "The prompt (total length 25938) is too long to fit into the model (context length 4096). "
        "Make sure that `max_model_len` is no smaller than the number of text tokens.",
    ),
    "vLLM, decoder": (
        400,
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make "
        "sure that `max_model_len` is no smaller than the number of text tokens.",
    ),
    "vLLM, max_tokens": (
        400,
        "'max_tokens' or 'max_completion_tokens' is too large: 33000. This model's maximum "
        "context length is 32768 tokens and your request has 10 input tokens",
    ),
    "vLLM, input": (400, "Input length (5000) exceeds model's maximum context length (4096)."),
    "vLLM, engine": (400, "The engine prompt length 5000 exceeds the max_model_len 4096."),
    "vLLM, scheduler": (400, "Input prompt (35247 tokens) is too long and exceeds limit of 1000"),
    "SGLang": (
        400,
        {
            "object": "error",
            "message": "The input (61709 tokens) is longer than the model's context length (40960 "
            "tokens).",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "SGLang, with the answer": (
        400,
        "Requested token count exceeds the model's maximum context length of 32768 tokens. You "
        "requested a total of 40000 tokens: 30000 tokens from the input messages and 10000.",
    ),
    "SGLang, allowed": (
        400,
        "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens). Use a "
        "shorter input or enable --allow-auto-truncate.",
    ),
    "llama.cpp": (
        400,
        {
            "error": {
                "code": 400,
                "message": "request (9412 tokens) exceeds the available context size (8192 "
                "tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 9412,
                "n_ctx": 8192,
            }
        },
    ),
    "llama.cpp's first": (500, "the request exceeds the available context size. try increasing"),
    "llama.cpp, later": (
        500,
        {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "x"}},
    ),
    "llama-cpp-python": (500, "Requested tokens (2285) exceed context window of 2048"),
    "xAI": (
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "This model's maximum prompt length is 131072 but the request contains 537812 "
            "tokens.",
        },
    ),
    "Gemini": (400, "The input token count (1196265) exceeds the maximum number of tokens allowed"),
    "DashScope": (
        400,
        {
            "error": {
                "code": "invalid_parameter_error",
                "message": "<400> InternalError.Algo.InvalidParameter: Range of input length "
                "should be [1, 30720]",
                "param": None,
                "type": "invalid_request_error",
            },
            "request_id": "r",
        },
    ),
    "DeepSeek": (
        400,
        "This model's maximum context length is 65536 tokens. However, you requested 66794 tokens.",
    ),
    "Mistral": (
        400,
        {
            "object": "error",
            "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with "
            "32768 maximum context length",
            "type": "invalid_request_error",
            "code": "3051",
        },
    ),
    "Anthropic": (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 210000 tokens > 200000 maximum",
            },
        },
    ),
    "Anthropic, 413": (413, "prompt is too long: 210000 tokens > 200000 maximum"),
    "Anthropic, with the answer": (
        400,
        "input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000, decrease",
    ),
    "Bedrock": (
        400,
        {"__type": "ValidationException", "message": "Input is too long for requested model."},
    ),
    "Bedrock's Claude": (
        400,
        "The model returned the following errors: prompt is too long: 200049 tokens > 200000",
    ),
    "Groq": (400, "Please reduce the length of the messages or completion."),
    "OpenRouter": (
        400,
        "This endpoint's maximum context length is 32768 tokens. However, you requested about "
        "40000 tokens (30000 of text input, 10000 in the output).",
    ),
    "OpenRouter, relayed": (
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {
                    "raw": '{"error":{"message":"prompt is too long: 3 tokens > 2 maximum"}}',
                    "provider_name": "Anthropic",
                },
            }
        },
    ),
    "Fireworks": (400, "The prompt is too long: 8300, model maximum context length: 8191"),
    "TGI": (
        422,
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
    ),
    "TensorRT-LLM": (400, "Prompt length (5000) exceeds maximum input length (4096)."),
    "LM Studio": (
        400,
        {
            "error": "The number of tokens to keep from the initial prompt is greater than the "
            "context length."
        },
    ),
    "Ollama": (400, "the input length exceeds the context length"),
    "Moonshot": (400, "Invalid request: Your request exceeded model token limit: 8192"),
    "MiniMax": (400, "invalid params, context window exceeds limit (2013)"),
    "Zhipu": (400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}),
    "GitHub": (
        413,
        {"error": {"code": "tokens_limit_reached", "message": "Request body too large for model."}},
    ),
    "Copilot": (400, "prompt token count of 140000 exceeds the limit of 128000"),
    "SiliconFlow": (
        400,
        {
            "code": 20015,
            "message": "length of prompt_tokens (38402) must be less than max_seq_len (32768).",
        },
    ),
    "Cohere": (400, {"message": "too many tokens: size limit exceeded by 12 tokens."}),
}


@pytest.mark.parametrize(("status", "body"), TOO_LONG.values(), ids=TOO_LONG)
def test_too_long_for_the_model(status: int, body: str | dict[str, Any]) -> None:
    assert cause_of(status, body) is Cause.CONTEXT_LENGTH


FILTERED: dict[str, tuple[int, str | dict[str, Any]]] = {
    "xAI": (
        403,
        {
            "code": "The caller does not have permission to execute the specified operation",
            "error": "Content violates usage guidelines. Team: t, API key ID: k, Model: grok-4, "
            "Failed check: SAFETY_CHECK_TYPE_BIO",
        },
    ),
    "xAI, short": (
        403,
        {"code": "permission-denied", "error": "Content violates usage guidelines. "},
    ),
    "xAI, 400": (
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "Content violates usage guidelines.",
        },
    ),
    "OpenAI": (
        400,
        {
            "error": {
                "message": "Invalid prompt: your prompt was flagged as potentially violating our "
                "usage policy. Please try again with a different prompt",
                "type": "invalid_request_error",
                "code": "invalid_prompt",
            }
        },
    ),
    "OpenAI, images": (400, "Your request was rejected as a result of our safety system."),
    "Azure": (
        400,
        {
            "error": {
                "message": "The response was filtered due to the prompt triggering Azure OpenAI's "
                "content management policy. Please modify your prompt and retry.",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
    ),
    "Azure, inner only": (
        400,
        {
            "error": {
                "message": "no",
                "code": "400",
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
    ),
    "DashScope": (
        400,
        {
            "error": {
                "message": "Input data may contain inappropriate content.",
                "type": "data_inspection_failed",
                "code": "data_inspection_failed",
            }
        },
    ),
    "DashScope's own": (400, {"code": "DataInspectionFailed", "message": "no", "request_id": "r"}),
    "DashScope, words": (400, "Output data may contain inappropriate content."),
    "DeepSeek": (400, "Content Exists Risk"),
    "DeepSeek, at first": (400, {"detail": "Content Exists Risk"}),
    "Moonshot": (
        400,
        "The request was rejected because it was considered high risk",
    ),
    "Anthropic": (400, "Output blocked by content filtering policy"),
    "Bedrock": (400, {"message": "The generated text has been blocked by our content filters."}),
    "Gemini": (400, "The prompt was blocked: PROHIBITED_CONTENT"),
    "Vertex": (
        400,
        "The prompt could not be submitted. This prompt contains sensitive words that violate "
        "Google's Responsible AI practices.",
    ),
    "OpenRouter": (
        403,
        "openai/gpt-x requires moderation on OpenAI. Your input was flagged for 'sexual'.",
    ),
    "Zhipu": (400, {"error": {"code": "1301", "message": "no"}}),
    "Volcengine": (400, {"error": {"code": "InputTextSensitiveContentDetected", "message": "n"}}),
    "somebody": (403, "Your request was blocked by our moderation system"),
    "somebody else": (403, "The prompt has been flagged as unsafe"),
    "a third": (403, "This content violates our content policy."),
    "402": (402, "Content violates usage guidelines"),
}


@pytest.mark.parametrize(("status", "body"), FILTERED.values(), ids=FILTERED)
def test_a_filter_dislikes_it(status: int, body: str | dict[str, Any]) -> None:
    assert cause_of(status, body) is Cause.CONTENT_POLICY


OPENAI_TOO_LARGE = (
    "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, "
    "Requested 60000. The input or output tokens must be reduced in order to run successfully."
)
GROQ_TOO_LARGE = {
    "error": {
        "message": "Request too large for model `llama` in organization `org` service tier "
        "`on_demand` on tokens per minute (TPM): Limit 6000, Requested 7000, please reduce your "
        "message size and try again.",
        "type": "tokens",
        "code": "rate_limit_exceeded",
    }
}
ANTHROPIC_TOO_LARGE = (
    "This request would exceed the rate limit for your organization (o) of 20,000 input tokens per "
    "minute. Please reduce the prompt length or the maximum tokens requested, or try again later."
)


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (429, OPENAI_TOO_LARGE, Cause.REQUEST_TOO_LARGE),
        (429, "Request too large: Limit 30000, Requested 60000", Cause.REQUEST_TOO_LARGE),
        (429, GROQ_TOO_LARGE, Cause.REQUEST_TOO_LARGE),
        (413, GROQ_TOO_LARGE, Cause.REQUEST_TOO_LARGE),
        (429, ANTHROPIC_TOO_LARGE, Cause.REQUEST_TOO_LARGE),
        (
            429,
            "This request would exceed your organization's rate limit of 30,000 input tokens per "
            "minute (org: o, model: m).",
            Cause.REQUEST_TOO_LARGE,
        ),
        (
            429,
            "Rate limit reached for m on tokens per min (TPM): Limit 30000, Used 0, Requested "
            "60000.",
            Cause.REQUEST_TOO_LARGE,
        ),
        # A wait cures these.
        (
            429,
            "Rate limit reached for m on tokens per min (TPM): Limit 30000, Used 29000, Requested "
            "2000. Please try again in 2s.",
            Cause.RATE_LIMITED,
        ),
        (
            429,
            "Rate limit reached for m on requests per min (RPM): Limit 3, Used 3, Requested 1.",
            Cause.RATE_LIMITED,
        ),
        (
            429,
            "This request would exceed your account's rate limit. Please try again later.",
            Cause.RATE_LIMITED,
        ),
        (413, "Request exceeds the maximum size", Cause.REJECTED),
        (
            402,
            "This request requires more credits, or fewer max_tokens. You requested up to 32000 "
            "tokens, but can only afford 27342. To increase, visit",
            Cause.REQUEST_TOO_LARGE,
        ),
        (402, "Prompt tokens limit exceeded: 230799 > 91442.", Cause.REQUEST_TOO_LARGE),
        (
            402,
            "This request requires more credits, or fewer max_tokens. You requested up to 32000 "
            "tokens, but can only afford 0. To increase, visit",
            Cause.ACCOUNT_REFUSED,
        ),
    ],
)
def test_too_large_for_its_limits(status: int, body: str | dict[str, Any], cause: Cause) -> None:
    assert cause_of(status, body) is cause


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, "Insufficient Balance"),
        (402, "Insufficient credits. Add more using https://openrouter.ai/credits"),
        (402, {"error": "Insufficient USD or Diem balance to complete request."}),
        (403, "Key limit exceeded (monthly limit)."),
        (
            403,
            {
                "code": "permission-denied",
                "error": "Your newly created team doesn't have any credits yet.",
            },
        ),
        (
            403,
            "Your team t has either used all available credits or reached its monthly spending "
            "limit.",
        ),
        (403, {"error": {"message": "no", "code": "unsupported_country_region_territory"}}),
        (403, "Your account has been suspended for violating our usage policies."),
        (
            400,
            {
                "code": "Client specified an invalid argument",
                "error": "Incorrect API key provided: xa***. You can obtain an API key from",
            },
        ),
        (
            400,
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid. Please pass a valid API key.",
                    "status": "INVALID_ARGUMENT",
                    "details": [{"reason": "API_KEY_INVALID"}],
                }
            },
        ),
        (400, {"error": {"code": "Arrearage", "message": "Access denied, ..."}}),
    ],
)
def test_it_is_the_account_whatever_the_request(status: int, body: str | dict[str, Any]) -> None:
    assert cause_of(status, body) is Cause.ACCOUNT_REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "image input is not supported - hint: if this is unexpected, you may need to provide the "
        "mmproj",
        "image input is not supported by this server",
        "audio input is not supported - hint: x",
        'Failed to parse messages: Unsupported content part type: "image_url"; messages = [ {} ]',
        "unsupported content[].type",
        "tools param requires --jinja flag",
        "Failed to initialize samplers: x",
    ],
)
def test_what_llama_cpp_calls_a_failure_of_its_own(text: str) -> None:
    body = {"error": {"code": 500, "message": text, "type": "server_error"}}
    if text.startswith("unsupported content["):
        # Not one that is known.
        assert cause_of(500, body) is Cause.SERVER_ERROR
    else:
        assert cause_of(500, body) is Cause.UNSUPPORTED
    # With 400 it is a refusal as any other.
    assert cause_of(400, body) is Cause.REJECTED


@pytest.mark.parametrize(
    "words",
    [
        "insufficient_quota",
        "content_filter",
        "Insufficient Balance",
        "maximum context length is 5 tokens",
        "Content violates usage guidelines",
        "exceed_context_size_error",
    ],
)
@pytest.mark.parametrize("status", [400, 402, 403, 429, 500])
def test_a_callers_own_words_decide_nothing(status: int, words: str) -> None:
    by_status = of_status(status)
    for quoted in (f"Invalid value: '{words}'.", f'Unknown "{words}" in `messages`'):
        assert cause_of(status, quoted) is by_status
    # Nor as a part of the request that a server sends back.
    echo = {"detail": "no", "body": {"messages": [{"content": words, "code": words}]}}
    assert cause_of(status, echo) is by_status


@pytest.mark.parametrize(
    "text",
    [
        "User is not authorized to perform: bedrock:InvokeModel on resource x because no "
        "identity-based policy allows the action",
        "You do not have access to the organization tied to the API key.",
        "Project p does not have access to model m",
        "Access to the chat endpoint is denied",
        "Blocked by the organization's network policy",
        "",
    ],
)
def test_a_403_of_the_key_is_none_of_the_content(text: str) -> None:
    assert cause_of(403, text) is Cause.AUTH_FAILED


@pytest.mark.skipif(not RECORDED.exists(), reason="the recordings are not here")
def test_geminis_own_wait() -> None:
    body = RECORDED.read_bytes()
    assert OPENAI_COMPATIBLE.wait_of(body) == 34.4
    assert cause_of(429, body) is Cause.RATE_LIMITED
