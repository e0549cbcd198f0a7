from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.demo.messages import MessageAnswer, TokenCount

TOOL = {
    "name": "weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
        "required": ["city", "unit"],
    },
}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}


def asked(**members: Any) -> bytes:
    messages = [{"role": "user", "content": "Why is the sky blue?"}]
    return json.dumps({"model": "any", "max_tokens": 500, "messages": messages, **members}).encode()


def streamed(answer: MessageAnswer) -> dict[str, Any]:
    """Put a stream together."""
    message: dict[str, Any] = {}
    text: list[str] = []
    for event in answer.events():
        found = json.loads(event.partition(b"data: ")[2])
        assert event.startswith(b"event: %b\n" % found["type"].encode())
        if found["type"] == "message_start":
            message = found["message"]
        elif found["type"] == "content_block_start":
            message["content"].append(found["content_block"])
            text = []
        elif found["type"] == "content_block_delta":
            delta = found["delta"]
            block = message["content"][found["index"]]
            if delta["type"] == "input_json_delta":
                text.append(delta["partial_json"])
                block["input"] = "".join(text)
            else:
                name = delta["type"].removesuffix("_delta")
                block[name] += delta[name]
        elif found["type"] == "message_delta":
            message |= found["delta"] | {"usage": found["usage"]}
    for block in message["content"]:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["input"])
    return message


@pytest.mark.parametrize(
    ("more", "kinds", "stop"),
    [
        ({}, ["text"], "end_turn"),
        ({"max_tokens": 3}, ["text"], "max_tokens"),
        ({"tools": [TOOL]}, ["text", "tool_use"], "tool_use"),
        ({"thinking": {"type": "adaptive"}}, ["thinking", "text"], "end_turn"),
        ({"tools": [TOOL], "messages": [RESULT]}, ["text"], "end_turn"),
    ],
)
def test_it_says_the_same_whole_and_streamed(more: Any, kinds: list[str], stop: str) -> None:
    whole = json.loads(MessageAnswer(asked(**more), 0).whole())
    assert [block["type"] for block in whole["content"]] == kinds
    assert whole["stop_reason"] == stop
    answer = streamed(MessageAnswer(asked(**more, stream=True), 0))
    # Ids are of the request.
    for found in (whole, answer):
        del found["id"]
        for block in found["content"]:
            block.pop("id", None)
    assert answer == whole


def test_arguments_fit_the_schema() -> None:
    whole = json.loads(MessageAnswer(asked(tools=[TOOL]), 0).whole())
    assert whole["content"][-1]["input"] == {"city": "demo", "unit": "C"}


def test_tokens_are_words() -> None:
    assert json.loads(TokenCount(asked(), 0).whole()) == {"input_tokens": 5}
