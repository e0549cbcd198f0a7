from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.demo.reply import NotKept
from gateway.demo.responses import InputTokens, ResponseAnswer


def asked(**members: object) -> bytes:
    return json.dumps({"model": "any", "input": "Why is the sky blue?", **members}).encode()


@pytest.mark.parametrize(
    ("limit", "status"), [(None, "completed"), (1000, "completed"), (3, "incomplete")]
)
def test_a_stream_says_what_a_whole_answer_says(limit: int | None, status: str) -> None:
    answer = ResponseAnswer(asked(stream=True, max_output_tokens=limit), 1234)
    events = [json.loads(each.split(b"data: ", 1)[1]) for each in answer.events()]
    names = [each.split(b"\n", 1)[0].removeprefix(b"event: ").decode() for each in answer.events()]
    assert names == [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    whole = json.loads(answer.whole())
    assert events[-1] == {
        "type": f"response.{status}",
        "sequence_number": len(events) - 1,
        "response": whole,
    }
    said = "".join(event.get("delta", "") for event in events)
    assert whole["output"][0]["content"][0]["text"] == said
    assert whole["usage"]["input_tokens"] == 5
    assert whole["usage"]["output_tokens"] == answer.pace
    assert whole["status"] == status


def test_the_last_of_the_user_is_answered() -> None:
    items = [
        {"role": "developer", "content": "Be kind."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi you"}]},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
    ]
    body = asked(input=items, instructions="Be brief.")
    assert (
        '"Hi you"' in json.loads(ResponseAnswer(body, 0).whole())["output"][0]["content"][0]["text"]
    )
    assert json.loads(InputTokens(body, 0).whole())["input_tokens"] == 6


def test_nothing_is_kept() -> None:
    with pytest.raises(NotKept):
        ResponseAnswer(asked(previous_response_id="resp_1"), 0)


def test_it_thinks_and_asks_for_the_first_tool_once() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}}  # noqa: E501  # fmt: skip
    more: dict[str, Any] = {
        "tools": [{"type": "custom", "name": "c"}, tool],
        "reasoning": {"effort": "low"},
    }
    answer = ResponseAnswer(asked(**more), 0)
    thought, said, call = json.loads(answer.whole())["output"]
    assert (thought["type"], said["type"]) == ("reasoning", "message")
    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "f", '{"n":1}')
    found = [json.loads(each.partition(b"data: ")[2]) for each in answer.events()]
    assert [each["sequence_number"] for each in found] == [*range(len(found))]
    done = [each["item"] for each in found if each["type"] == "response.output_item.done"]
    assert done == found[-1]["response"]["output"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "7"}
    again = ResponseAnswer(asked(**more | {"input": [result]}), 0)
    assert [each["type"] for each in json.loads(again.whole())["output"]] == [
        *("reasoning", "message")
    ]
