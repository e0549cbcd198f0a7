from __future__ import annotations

import json

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
