"""What requests for messages need."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.anthropic_messages.request import parse_messages
from gateway.core.dialects.needs import Needs

TOOLS = [{"name": "f", "input_schema": {"type": "object"}}]
CALL = {"type": "tool_use", "id": "1", "name": "f", "input": {}}


def needs(**body: Any) -> Needs:
    body = {
        "model": "m",
        "max_tokens": 20,
        "messages": [{"role": "user", "content": "hi"}],
    } | body
    return parse_messages(json.dumps(body).encode()).needs()


def needed(**body: Any) -> dict[str, str]:
    found = needs(**body)
    return {
        name: value
        for name in found.__struct_fields__
        if (value := getattr(found, name)) and name not in ("prompt", "answer")
    }


def message(*blocks: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": [*blocks]}]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {}),
        ({"stream": True}, {"streaming": "stream"}),
        (message({"type": "image", "source": {}}), {"images": "messages.0.content.0"}),
        (message({"type": "document", "source": {}}), {"documents": "messages.0.content.0"}),
        (
            message(
                {
                    "type": "tool_result",
                    "tool_use_id": "1",
                    "content": [{"type": "text", "text": "a"}, {"type": "image", "source": {}}],
                }
            ),
            {"images": "messages.0.content.0.content.1"},
        ),
        (message({"type": "text", "text": "image"}), {}),
        ({"tools": TOOLS}, {"tools": "tools"}),
        ({"tools": []}, {}),
        (message(CALL, role="assistant"), {"tools": "messages.0.content"}),
        (
            message(CALL, CALL, role="assistant"),
            {"tools": "messages.0.content", "parallel_tools": "messages.0.content"},
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
            {"structured_output": "output_config.format"},
        ),
        ({"output_config": {"effort": "low"}}, {}),
        ({"output_format": {"type": "json_schema"}}, {"structured_output": "output_format"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, {"thinking": "thinking"}),
        ({"thinking": {"type": "adaptive"}}, {"thinking": "thinking"}),
        ({"thinking": {"type": "disabled"}}, {}),
    ],
)
def test_what_is_needed(body: dict[str, Any], expected: dict[str, str]) -> None:
    assert needed(**body) == expected


def test_tokens() -> None:
    found = needs(messages=[{"role": "user", "content": "x" * 4000}])
    assert 1000 <= found.prompt < 1030
    assert found.answer == 20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["image", "tool_use", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "source"]), inner)
    ),
)


@given(st.dictionaries(st.sampled_from(["messages", "tools", "output_config", "thinking"]), JSON))
def test_whatever_comes_nothing_is_raised(body: dict[str, Any]) -> None:
    assert isinstance(needs(**body), Needs)
