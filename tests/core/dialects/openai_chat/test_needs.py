"""What chat completion requests need."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.needs import Needs
from gateway.core.dialects.openai_chat.request import parse_chat

TOOLS = [{"type": "function", "function": {"name": "f"}}]
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def needs(**body: Any) -> Needs:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | body
    return parse_chat(json.dumps(body).encode()).needs()


def needed(**body: Any) -> dict[str, str]:
    found = needs(**body)
    return {
        name: value
        for name in found.__struct_fields__
        if (value := getattr(found, name)) and name not in ("prompt", "answer")
    }


def message(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}, {"role": role, "content": [*parts]}]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {}),
        ({"stream": True}, {"streaming": "stream"}),
        (
            message(
                {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}
            ),
            {"images": "messages.1.content.1"},
        ),
        (message({"type": "file", "file": {}}), {"documents": "messages.1.content.0"}),
        (message({"type": "input_audio"}), {"audio": "messages.1.content.0"}),
        ({"modalities": ["text", "audio"], "audio": {}}, {"audio": "modalities"}),
        ({"modalities": ["text"]}, {}),
        # Words alone are none.
        ({"messages": [{"role": "user", "content": '{"type":"image_url"}'}]}, {}),
        (message({"type": "text", "text": "image_url"}), {}),
        ({"tools": TOOLS}, {"tools": "tools"}),
        ({"tools": []}, {}),
        ({"tools": None}, {}),
        ({"functions": [{"name": "f"}]}, {"tools": "functions"}),
        (
            {"messages": [{"role": "assistant", "content": None, "tool_calls": [CALL]}]},
            {"tools": "messages.0"},
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, {"tools": "messages.0"}),
        (
            {"messages": [{"role": "assistant", "content": None, "tool_calls": [CALL, CALL]}]},
            {"tools": "messages.0", "parallel_tools": "messages.0.tool_calls"},
        ),
        (
            {"tools": TOOLS, "parallel_tool_calls": True},
            {"tools": "tools", "parallel_tools": "parallel_tool_calls"},
        ),
        ({"tools": TOOLS, "parallel_tool_calls": False}, {"tools": "tools"}),
        ({"parallel_tool_calls": True}, {}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {}}},
            {"structured_output": "response_format"},
        ),
        ({"response_format": {"type": "json_object"}}, {}),
        ({"reasoning_effort": "low"}, {"thinking": "reasoning_effort"}),
        ({"reasoning_effort": "none"}, {}),
        ({"reasoning_effort": None}, {}),
        ({"reasoning": {"effort": "high"}}, {"thinking": "reasoning"}),
        ({"reasoning": {"max_tokens": 2000}}, {"thinking": "reasoning"}),
        ({"reasoning": {"enabled": True}}, {"thinking": "reasoning"}),
        ({"reasoning": {"enabled": False}}, {}),
        ({"reasoning": {"effort": "none"}}, {}),
        ({"reasoning": {"exclude": True}}, {}),
        ({"thinking": {"type": "enabled"}}, {"thinking": "thinking"}),
        ({"thinking": {"type": "disabled"}}, {}),
    ],
)
def test_what_is_needed(body: dict[str, Any], expected: dict[str, str]) -> None:
    assert needed(**body) == expected


def test_tokens() -> None:
    found = needs(messages=[{"role": "user", "content": "x" * 4000}], max_tokens=50, n=3)
    assert 1000 <= found.prompt < 1030
    assert found.answer == 50
    # An image counts by the file.
    url = "data:image/png;base64," + "A" * 1_000_000
    found = needs(**message({"type": "image_url", "image_url": {"url": url}}))
    assert found.prompt < 1100
    assert found.images


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["image_url", "file", "tool", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "tool_calls"]), inner)
    ),
)


@given(st.dictionaries(st.sampled_from(["messages", "tools", "reasoning", "thinking"]), JSON))
def test_whatever_comes_nothing_is_raised(body: dict[str, Any]) -> None:
    assert isinstance(needs(**body), Needs)
