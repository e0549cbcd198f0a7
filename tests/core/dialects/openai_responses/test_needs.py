"""What requests for responses need."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.openai_responses.request import parse_responses

TOOLS = [{"type": "function", "name": "f"}]
CALL = {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "1", "output": "x"}


def needed(**body: Any) -> dict[str, str]:
    found = parse_responses(json.dumps({"model": "m", "input": "hi"} | body).encode()).needs()
    return {
        name: value
        for name in found.__struct_fields__
        if (value := getattr(found, name)) and name not in ("prompt", "answer")
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {}),
        ({"stream": True}, {"streaming": "stream"}),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            {"images": "input.0.content.0"},
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]},
            {"documents": "input.0.content.0"},
        ),
        (
            {"input": [CALL, {**OUTPUT, "output": [{"type": "input_image", "image_url": "x"}]}]},
            {"images": "input.1.output.0", "tools": "input.0"},
        ),
        ({"input": "input_image"}, {}),
        ({"tools": TOOLS}, {"tools": "tools"}),
        ({"input": [CALL, OUTPUT, CALL, OUTPUT]}, {"tools": "input.0"}),
        (
            {"input": [CALL, CALL, OUTPUT, OUTPUT]},
            {"tools": "input.0", "parallel_tools": "input.1"},
        ),
        (
            {"tools": TOOLS, "parallel_tool_calls": True},
            {"tools": "tools", "parallel_tools": "parallel_tool_calls"},
        ),
        ({"tools": TOOLS, "parallel_tool_calls": False}, {"tools": "tools"}),
        (
            {"text": {"format": {"type": "json_schema", "schema": {}}}},
            {"structured_output": "text.format"},
        ),
        ({"text": {"format": {"type": "text"}}}, {}),
        ({"reasoning": {"effort": "low"}}, {"thinking": "reasoning"}),
        ({"reasoning": {"effort": "none"}}, {}),
        ({"reasoning": {"summary": "auto"}}, {}),
        ({"input": 1, "text": [], "reasoning": "x", "tools": {}}, {}),
        ({"input": [1, None]}, {}),
    ],
)
def test_what_is_needed(body: dict[str, Any], expected: dict[str, str]) -> None:
    assert needed(**body) == expected
