"""The request is too long for the model, in the words of many providers."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway.core.routing.causes import Cause

from ..refused import cause_of

CASES: Final[list[Any]] = [
    pytest.param(
        400, "The total length of all messages is too long.", Cause.CONTEXT_LENGTH, id="perplexity"
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "Input token length too long",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            },
        },
        Cause.CONTEXT_LENGTH,
        id="moonshot doc",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": ("Invalid request: Your request exceeded model token limit : 131072"),
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            },
        },
        Cause.CONTEXT_LENGTH,
        id="moonshot colon",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "total message size 2200000 exceeds limit 2097152",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            },
        },
        Cause.CONTEXT_LENGTH,
        id="moonshot size",
    ),
    pytest.param(
        400,
        {
            "message": (
                "Please reduce the length of the messages or completion. Current length "
                "is 42328 while limit is 40000"
            ),
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        },
        Cause.CONTEXT_LENGTH,
        id="cerebras",
    ),
    pytest.param(
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": (
                        "The input token count exceeds the maximum number of tokens allowed "
                        "(1048576)."
                    ),
                    "status": "INVALID_ARGUMENT",
                },
            }
        ],
        Cause.CONTEXT_LENGTH,
        id="gemini 2.5",
    ),
    pytest.param(
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": (
                        "Unable to submit request because the input token count is 40000 but "
                        "model only supports up to 32768. Reduce the input token count and try "
                        "again."
                    ),
                    "status": "INVALID_ARGUMENT",
                },
            }
        ],
        Cause.CONTEXT_LENGTH,
        id="vertex ai",
    ),
    pytest.param(
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": (
                        "The request's input token count of 1200000 exceeds the model limit of "
                        "1048576"
                    ),
                    "status": "INVALID_ARGUMENT",
                },
            }
        ],
        Cause.CONTEXT_LENGTH,
        id="vertex request size",
    ),
    pytest.param(
        400,
        (
            "Input tokens exceed the configured limit of 272000 tokens. Your "
            "messages resulted in 509178 tokens. Please reduce the length of the "
            "messages."
        ),
        Cause.CONTEXT_LENGTH,
        id="azure conf",
    ),
    pytest.param(
        413,
        {
            "error": {
                "message": ("Request body too large for gpt-5-mini model. Max size: 4000 tokens."),
                "type": None,
                "param": None,
                "code": "tokens_limit_reached",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="azure model body",
    ),
    pytest.param(
        400,
        {
            "message": (
                "The model returned the following errors: Input is too long for requested model."
            ),
        },
        Cause.CONTEXT_LENGTH,
        id="bedrock conv",
    ),
    pytest.param(
        400,
        {
            "message": (
                "Too many input tokens. Max input tokens: 8192, request input token count: 9000"
            ),
        },
        Cause.CONTEXT_LENGTH,
        id="bedrock toomany",
    ),
    pytest.param(
        400,
        {
            "message": (
                "Input Tokens Exceeded: Number of input tokens exceeds maximum length. "
                "Please update the input to try again."
            ),
        },
        Cause.CONTEXT_LENGTH,
        id="bedrock nova",
    ),
    pytest.param(
        400,
        {
            "message": (
                "This model's maximum context length is 8192 tokens. Please reduce the "
                "length of the prompt"
            ),
        },
        Cause.CONTEXT_LENGTH,
        id="bedrock llama",
    ),
    pytest.param(
        400,
        {
            "object": "error",
            "message": ("Prompt contains 140000 tokens, which exceeds the context size of 131072"),
            "type": "invalid_request_prompt",
            "param": None,
            "code": "3051",
        },
        Cause.CONTEXT_LENGTH,
        id="mistral new",
    ),
    pytest.param(
        422,
        {
            "object": "error",
            "message": (
                "Prompt contains 65673 tokens and 0 draft tokens, too large for model "
                "with 32768 maximum context length"
            ),
            "type": "invalid_request_error",
            "code": None,
        },
        Cause.CONTEXT_LENGTH,
        id="mistral w draft",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "This model's maximum context length is 131072 tokens. However, you "
                    "requested 140022 tokens (132022 in the messages, 8000 in the "
                    "completion). Please reduce the length of the messages or completion."
                ),
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_request_error",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="deepseek",
    ),
    pytest.param(
        400,
        {
            "code": "invalid-argument",
            "error": (
                "This model's maximum prompt length is 131072 but the request contains "
                "140000 tokens."
            ),
        },
        Cause.CONTEXT_LENGTH,
        id="xai",
    ),
    pytest.param(
        400,
        {
            "id": "x",
            "error": {
                "message": (
                    "Requested token count exceeds the model's maximum context length of "
                    "131073 tokens. You requested a total of 140000 tokens"
                ),
                "type": "invalid_request_error",
                "param": "max_tokens",
                "code": None,
            },
        },
        Cause.CONTEXT_LENGTH,
        id="together",
    ),
    pytest.param(
        422,
        {
            "error": {
                "message": (
                    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= "
                    "8193. Given: 9000 `inputs` tokens and 512 `max_new_tokens`"
                ),
                "type": "invalid_request_error",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="together in",
    ),
    pytest.param(
        422,
        {
            "error": (
                "Input validation error: `inputs` must have less than 1024 tokens. Given: 1200"
            ),
            "error_type": "validation",
        },
        Cause.CONTEXT_LENGTH,
        id="tgi",
    ),
    pytest.param(
        400,
        {
            "error": {
                "object": "error",
                "type": "invalid_request_error",
                "code": "invalid_request_error",
                "message": ("The prompt is too long: 140000, model maximum context length: 131071"),
            },
        },
        Cause.CONTEXT_LENGTH,
        id="fireworks",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "This model's maximum context length is 4096 tokens. However, you "
                    "requested 100 output tokens and your prompt contains at least 3997 "
                    "input tokens, for a total of at least 4097 tokens. Please reduce the "
                    "length of the input prompt or the number of requested output tokens. "
                    "(parameter=input_tokens, value=3997)"
                ),
                "type": "BadRequestError",
                "param": "input_tokens",
                "code": 400,
            },
        },
        Cause.CONTEXT_LENGTH,
        id="vllm v1",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "You passed 5000 input tokens and requested 100 output tokens. However, "
                    "the model's context length is only 4096 tokens, resulting in a maximum "
                    "input length of 3996 tokens. Please reduce the length of the input "
                    "prompt."
                ),
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            },
        },
        Cause.CONTEXT_LENGTH,
        id="vllm prompt",
    ),
    pytest.param(
        400,
        {
            "object": "error",
            "message": (
                "max_tokens must be at least 1, got -904. (parameter=max_tokens, value=-904)"
            ),
            "type": "BadRequestError",
            "code": 400,
        },
        Cause.CONTEXT_LENGTH,
        id="vllm maxtok neg",
    ),
    pytest.param(
        400,
        {
            "object": "error",
            "message": (
                "The decoder prompt (length 21535) is longer than the maximum model "
                "length of 16384. Make sure that `max_model_len` is no smaller"
            ),
            "type": "BadRequestError",
            "code": 400,
        },
        Cause.CONTEXT_LENGTH,
        id="vllm longer",
    ),
    pytest.param(
        400,
        {
            "object": "error",
            "message": (
                "Requested token count exceeds the model's maximum context length of "
                "8192 tokens. You requested a total of 9000 tokens: 5000 tokens from "
                "the input messages and 4000 tokens for the completion. Please reduce "
                "the number of tokens in the input messages or the completion to fit "
                "within the limit."
            ),
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        Cause.CONTEXT_LENGTH,
        id="sglang",
    ),
    pytest.param(
        500,
        {
            "error": {
                "message": (
                    "The input (61709 tokens) is longer than the model's context length "
                    "(40960 tokens)."
                ),
                "type": "InternalServerError",
                "param": None,
                "code": 500,
            },
        },
        Cause.CONTEXT_LENGTH,
        id="sglang stream",
    ),
    pytest.param(
        400,
        {
            "error": {
                "code": 400,
                "message": (
                    "request (9412 tokens) exceeds the available context size (8192 "
                    "tokens), try increasing it"
                ),
                "type": "exceed_context_size_error",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="llamacpp new",
    ),
    pytest.param(
        500,
        {
            "error": {
                "code": 500,
                "message": ("input is too large to process. increase the physical batch size"),
                "type": "server_error",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="llamacpp input",
    ),
    pytest.param(
        400,
        {
            "error": (
                "Trying to keep the first 9000 tokens when context the overflows. "
                "However, the model is loaded with context length of only 4096 tokens, "
                "which is not enough. Try to load the model with a larger context "
                "length, or provide a shorter input"
            ),
        },
        Cause.CONTEXT_LENGTH,
        id="lmstudio",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "Reached context length of 4096 tokens with model (arch: qwen2) that "
                    "does not currently support mid-generation context overflow."
                ),
                "type": "internal_error",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="lmstudio2",
    ),
    pytest.param(
        400,
        {
            "error": "Cannot truncate prompt with n_keep (9000) >= n_ctx (4096)",
        },
        Cause.CONTEXT_LENGTH,
        id="lmstudio3",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "prompt too long; exceeded max context length by 12 tokens",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            },
        },
        Cause.CONTEXT_LENGTH,
        id="ollama",
    ),
    pytest.param(
        400,
        "input length (9000) exceeds maximum context length (4096)",
        Cause.CONTEXT_LENGTH,
        id="ollama2",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "<400> InternalError.Algo.InvalidParameter: Range of input length "
                    "should be [1, 129024]"
                ),
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_parameter_error",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="dashscope",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "<400> InternalError.Algo.InvalidParameter: Range of input length "
                    "should be [1, 1000000]"
                ),
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_parameter_error",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="dashscope new",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "Total message token length exceed model limit",
                "type": "invalid_request_error",
                "param": None,
                "code": "InvalidParameter",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="dashscope total",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "The input token length exceeds the max length limit: 30720",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            },
        },
        Cause.CONTEXT_LENGTH,
        id="dashscope limit",
    ),
    pytest.param(
        400,
        {
            "error": {
                "code": "1261",
                "message": "Prompt exceeds max length",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="zhipu en",
    ),
    pytest.param(
        400,
        {
            "base_resp": {
                "status_code": 2013,
                "status_msg": "invalid params, context window exceeds limit (2013)",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="minimax",
    ),
    pytest.param(
        400,
        {
            "type": "error",
            "error": {
                "type": "bad_request_error",
                "message": "invalid params, context window exceeds limit (2013)",
                "http_code": "400",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="minimax2",
    ),
    pytest.param(
        400,
        {
            "error": {
                "code": "InvalidParameter",
                "message": (
                    "Total tokens of image and text exceed max message tokens. Request id: x"
                ),
                "param": "",
                "type": "BadRequest",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="volc",
    ),
    pytest.param(
        400,
        {
            "error": {
                "code": "InputTooLong",
                "message": "Input length 140000 exceeds the maximum length 131072",
                "type": "BadRequest",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="volc2",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": "input length too long",
                "code": "400",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="hunyuan",
    ),
    pytest.param(
        400,
        {
            "message": (
                "too many tokens: total number of tokens in the prompt cannot exceed "
                "4081 - received 5000."
            ),
        },
        Cause.CONTEXT_LENGTH,
        id="cohere",
    ),
    pytest.param(
        400,
        {
            "message": (
                "too many tokens: max tokens must be less than or equal to 4096, the "
                "maximum output for this model - received 8000."
            ),
        },
        Cause.REJECTED,
        id="cohere2",
    ),
    pytest.param(
        400,
        {
            "object": "error",
            "message": (
                "This model's maximum context length is 4096 tokens. However, you requested 5000"
            ),
            "type": "BadRequestError",
            "code": 400,
        },
        Cause.CONTEXT_LENGTH,
        id="nvidia nim",
    ),
    pytest.param(
        400,
        "Prompt length (5000) exceeds maximum input length (4096). Set log level",
        Cause.CONTEXT_LENGTH,
        id="tensorrt",
    ),
    pytest.param(
        400,
        (
            "The sum of prompt length (5000) and max_tokens (100) should not exceed "
            "max_seq_len (4096)"
        ),
        Cause.CONTEXT_LENGTH,
        id="trt2",
    ),
    pytest.param(
        422,
        {
            "detail": "Input is too long: 300000 tokens, maximum is 256000",
        },
        Cause.CONTEXT_LENGTH,
        id="ai21",
    ),
    pytest.param(
        400,
        {
            "detail": "input is too long",
        },
        Cause.CONTEXT_LENGTH,
        id="replicate",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "litellm.ContextWindowExceededError: litellm.BadRequestError: "
                    "ContextWindowExceededError: OpenAIException - This model's maximum "
                    "context length is 8192 tokens"
                ),
                "type": "invalid_request_error",
                "param": None,
                "code": "400",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="litellm",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "litellm.ContextWindowExceededError: Model=x, Max Input Tokens=272000, "
                    "Got=301450"
                ),
                "type": None,
                "param": None,
                "code": "400",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="litellm pre",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": ("anthropic error: prompt is too long: 210000 tokens > 200000 maximum"),
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            },
        },
        Cause.CONTEXT_LENGTH,
        id="portkey",
    ),
    pytest.param(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 1000001 tokens > 1000000 maximum",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="anthropic 1m",
    ),
    pytest.param(
        413,
        {
            "type": "error",
            "error": {
                "type": "request_too_large",
                "message": "Request exceeds the maximum size",
            },
        },
        Cause.REJECTED,
        id="anthropic size",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "Your input exceeds the context window of this model. Please adjust "
                    "your input and try again."
                ),
                "type": "invalid_request_error",
                "param": None,
                "code": "context_length_exceeded",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="openai resp",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "Invalid 'messages[0].content': string too long. Expected a string with "
                    "maximum length 10485760, but got a string with length 12000000 "
                    "instead."
                ),
                "type": "invalid_request_error",
                "param": None,
                "code": "string_above_max_length",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="openai string",
    ),
    pytest.param(
        400,
        {
            "detail": {
                "error": ("Requested input length 140000 exceeds maximum input length 131072"),
            },
        },
        Cause.CONTEXT_LENGTH,
        id="deepinfra",
    ),
    pytest.param(
        400,
        {
            "error": {
                "code": None,
                "message": (
                    "Requested generation length 1 is not possible! The provided prompt is "
                    "5000 tokens long, so generating 1 tokens requires a sequence length of "
                    "5001, but the maximum supported sequence length is just 4096!"
                ),
                "type": "invalid_request_error",
            },
        },
        Cause.CONTEXT_LENGTH,
        id="sambanova",
    ),
    pytest.param(
        400,
        {
            "code": 400,
            "reason": "INVALID_REQUEST_BODY",
            "message": "The length of the prompt exceeds the model's maximum context length",
        },
        Cause.CONTEXT_LENGTH,
        id="novita",
    ),
    pytest.param(
        400,
        {
            "object": "error",
            "message": "maximum context length is 4096",
        },
        Cause.CONTEXT_LENGTH,
        id="hyperbolic",
    ),
    pytest.param(
        413,
        {
            "errors": [
                {
                    "message": (
                        "AiError: The estimated number of input and maximum output tokens "
                        "(9000) exceeded this model context window limit (8192)."
                    ),
                    "code": 5021,
                }
            ],
        },
        Cause.CONTEXT_LENGTH,
        id="cloudflare",
    ),
    pytest.param(
        400,
        {
            "error_code": "BAD_REQUEST",
            "message": (
                "Bad request: prompt token count (5000) cannot exceed 4096. Please "
                "truncate the input."
            ),
        },
        Cause.CONTEXT_LENGTH,
        id="databricks",
    ),
    pytest.param(
        400,
        {
            "errors": [
                {
                    "code": "invalid_input_argument",
                    "message": (
                        "Invalid input argument for Model 'x': the number of input tokens 5000 "
                        "cannot exceed the total tokens limit 4096 for this model"
                    ),
                }
            ],
        },
        Cause.CONTEXT_LENGTH,
        id="watsonx",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": (
                    "max_tokens is too large: 100000. This model supports at most 16384 "
                    "completion tokens, whereas you provided 100000."
                ),
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            },
        },
        Cause.REJECTED,
        id="max_tokens too large",
    ),
    pytest.param(
        400,
        {
            "message": (
                "The maximum tokens you requested exceeds the model limit of 2048. Try "
                "again with a maximum tokens value that is lower than 2048."
            ),
        },
        Cause.REJECTED,
        id="bedrock max out",
    ),
]


@pytest.mark.parametrize(("status", "body", "cause"), CASES)
def test_too_long(status: int, body: Any, cause: Cause) -> None:
    assert cause_of(status, body) is cause


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
        "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length "
        "64, but got a string with length 70 instead.",
        "Invalid 'metadata': too many properties. Expected an object with at most 16 properties",
        "The input image size exceeds 20 MB",
        "Input audio file size exceeds the limit",
        "messages: at least one message is required",
        "tools.0.custom.input_schema: JSON schema is invalid",
        "Unsupported value: '' does not support 0.2 with this model.",
        "The name is too long",
        "Request timed out",
        "stop sequences are too long",
    ],
)
def test_other_lengths_are_not_the_prompts(text: str) -> None:
    assert cause_of(400, text) is Cause.REJECTED


def test_words_behind_one_gateway_count_too() -> None:
    relayed = {
        "error": {
            "message": "Provider returned error",
            "code": 400,
            "metadata": {
                "raw": '{"error":{"message":"The input token count exceeds the maximum"}}'
            },
        }
    }
    assert cause_of(400, relayed) is Cause.CONTEXT_LENGTH
