"""What servers call failures of their own, and is one of the request."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway.core.routing.causes import Cause

from ..refused import cause_of

CASES: Final[list[Any]] = [
    pytest.param(
        500,
        {
            "error": {
                "code": 500,
                "message": (
                    "image input is not supported - hint: if this is unexpected, you may "
                    "need to provide the mmproj"
                ),
                "type": "server_error",
            },
        },
        Cause.UNSUPPORTED,
        id="llama img",
    ),
    pytest.param(
        500,
        {
            "error": {
                "code": 500,
                "message": (
                    "Value is not callable: null at row 49, column 79:\n   {%- set content"
                ),
                "type": "server_error",
            },
        },
        Cause.UNSUPPORTED,
        id="llama jinja",
    ),
    pytest.param(
        500,
        {
            "error": {
                "code": 500,
                "message": "Jinja Exception: System message must be at the beginning.",
                "type": "server_error",
            },
        },
        Cause.UNSUPPORTED,
        id="llama jinja2",
    ),
    pytest.param(
        500,
        {
            "error": {
                "code": 500,
                "message": (
                    "Cannot pass both content and thinking in an assistant message with "
                    "tool calls! Put the analysis message in one or the other, but not "
                    "both. at row 290, column 178:\n"
                ),
                "type": "server_error",
            },
        },
        Cause.UNSUPPORTED,
        id="llama thinking",
    ),
    pytest.param(
        500,
        {
            "error": {
                "code": 500,
                "message": (
                    "Conversation roles must alternate user/assistant/user/assistant/... at "
                    "row 1, column 1"
                ),
                "type": "server_error",
            },
        },
        Cause.UNSUPPORTED,
        id="llama alternate",
    ),
    pytest.param(
        500,
        {
            "error": {
                "code": 500,
                "message": "Failed to parse input at pos 20: <tool_call>",
                "type": "server_error",
            },
        },
        Cause.UNSUPPORTED,
        id="llama parse input",
    ),
    pytest.param(
        500,
        {
            "error": {
                "code": 500,
                "message": ('JSON schema conversion failed:\nUnrecognized schema: {"type":"foo"}'),
                "type": "server_error",
            },
        },
        Cause.UNSUPPORTED,
        id="llama grammar",
    ),
    pytest.param(
        500,
        {
            "error": {
                "code": 500,
                "message": (
                    "Unable to generate parser for this template. Automatic parser "
                    "generation failed: "
                ),
                "type": "server_error",
            },
        },
        Cause.UNSUPPORTED,
        id="llama unsup",
    ),
    pytest.param(
        500,
        {
            "error": {
                "code": 500,
                "message": "Failed to load image or audio file",
                "type": "server_error",
            },
        },
        Cause.UNSUPPORTED,
        id="llama bad img",
    ),
    pytest.param(
        500,
        {
            "error": {
                "code": 500,
                "message": "failed to process image",
                "type": "server_error",
            },
        },
        Cause.UNSUPPORTED,
        id="llama mtmd",
    ),
    pytest.param(
        400,
        "registry.ollama.ai/library/gemma:2b does not support tools",
        Cause.REJECTED,
        id="ollama tools",
    ),
    pytest.param(
        500,
        "this model is missing data required for image input",
        Cause.UNSUPPORTED,
        id="ollama img 500",
    ),
    pytest.param(
        500,
        "Failed to create new sequence: failed to process inputs: image: unknown format",
        Cause.UNSUPPORTED,
        id="ollama 500",
    ),
    pytest.param(
        500,
        {
            "object": "error",
            "message": "Internal Server Error",
            "type": "InternalServerError",
            "code": 500,
        },
        Cause.SERVER_ERROR,
        id="vllm 500",
    ),
    pytest.param(
        500,
        {
            "error": {
                "message": "cannot identify image file <_io.BytesIO object at 0x7f>",
                "type": "InternalServerError",
                "code": 500,
            },
        },
        Cause.UNSUPPORTED,
        id="vllm img",
    ),
    pytest.param(
        500,
        {
            "object": "error",
            "message": "Internal server error: 'NoneType' object has no attribute 'x'",
            "type": "InternalServerError",
            "code": 500,
        },
        Cause.SERVER_ERROR,
        id="sglang 500",
    ),
    pytest.param(
        429,
        {
            "error": "Model is overloaded",
            "error_type": "overloaded",
        },
        Cause.RATE_LIMITED,
        id="tgi overload",
    ),
    pytest.param(
        500,
        {
            "error": "Input validation error: unsupported image",
            "error_type": "validation",
        },
        Cause.UNSUPPORTED,
        id="tgi img",
    ),
]


@pytest.mark.parametrize(("status", "body", "cause"), CASES)
def test_unsupported(status: int, body: Any, cause: Cause) -> None:
    assert cause_of(status, body) is cause


@pytest.mark.parametrize(
    "text",
    ["Internal server error", "CUDA out of memory", "upstream connect error", "Loading model", ""],
)
def test_failures_of_the_server_stay_failures(text: str) -> None:
    assert cause_of(500, text) is Cause.SERVER_ERROR
    assert cause_of(503, text) is Cause.SERVER_ERROR
