from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.base import NotAnAnswer
from gateway.core.dialects.openai_chat.assembled import MAX_ASSEMBLED, assemble
from gateway.core.records.usage import Usage

DONE = b"data: [DONE]\n\n"


def event(delta: dict[str, Any], reason: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": reason}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "model": "theirs"}
    return b"data: %b\n\n" % json.dumps(chunk | {"choices": [choice]} | more).encode()


def call(index: int | None, **fields: Any) -> dict[str, Any]:
    found = {"index": index, **fields} if index is not None else fields
    return {"tool_calls": [found]}


def whole(stream: bytes, choices: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(assemble(stream, b'"mine"', choices).body)
    return found


def test_text_reasoning_and_unknown_members_are_joined() -> None:
    stream = b"".join(
        [
            event({"role": "assistant", "content": "", "reasoning_content": "h"}),
            event({"reasoning_content": "m", "details": [1]}, system_fingerprint="fp"),
            event({"content": "Z\u00fc\ud83d", "details": [2]}),
            event({"content": "rich"}, citations=["x"]),
            event({}, "stop", timings={"n": 1}),
            b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n',
        ]
    )
    answer = assemble(stream + DONE, b'"mine"', 1)
    assert answer.usage == Usage(input_tokens=7, output_tokens=3)
    assert json.loads(answer.body) == {
        "id": "c1",
        "object": "chat.completion",
        "model": "mine",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "content": "Z\u00fc\ud83drich",
                    "reasoning_content": "hm",
                    "details": [1, 2],
                },
            }
        ],
        "system_fingerprint": "fp",
        "citations": ["x"],
        "timings": {"n": 1},
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }
    # `[DONE]` and the last blank line may be missing, as for any stream.
    assert whole(stream.removesuffix(b"\n\n")) == json.loads(answer.body)


def test_tool_calls_are_joined_by_index() -> None:
    stream = b"".join(
        [
            event({"role": "assistant", "content": None}),
            event(call(0, id="a", type="function", function={"name": "f", "arguments": ""})),
            event(call(0, id="", function={"arguments": '{"x'})),
            event(call(1, id="b", type="function", function={"name": "g", "arguments": "{}"})),
            event(call(0, function={"name": None, "arguments": '":1}'}), "tool_calls"),
        ]
    )
    assert whole(stream)["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "index": 0,
                "id": "a",
                "type": "function",
                "function": {"name": "f", "arguments": '{"x":1}'},
            },
            {
                "index": 1,
                "id": "b",
                "type": "function",
                "function": {"name": "g", "arguments": "{}"},
            },
        ],
    }


def test_calls_without_an_index_are_whole() -> None:
    stream = event(call(None, id="a", function={"name": "f", "arguments": "{}"}))
    stream += event(call(None, id="b", function={"name": "g", "arguments": "{}"}), "stop")
    calls = whole(stream)["choices"][0]["message"]["tool_calls"]
    assert [each["id"] for each in calls] == ["a", "b"]


def test_choices_and_logprobs() -> None:
    stream = b"".join(
        [
            event({"content": "b"}, index=1),
            event({"content": "a"}, logprobs=None),
            event({"content": "a"}, "stop"),
            event({"content": "b"}, "length", index=1),
        ]
    )
    choices = whole(stream, 2)["choices"]
    assert [each["index"] for each in choices] == [0, 1]
    assert [each["message"]["content"] for each in choices] == ["aa", "bb"]
    assert [each["finish_reason"] for each in choices] == ["stop", "length"]
    one = b'data: {"choices":[{"delta":{"content":"a"},"logprobs":{"content":[1]}}]}\n\n'
    two = b'data: {"choices":[{"delta":{},"logprobs":{"content":[2]},"finish_reason":"stop"}]}\n\n'
    assert whole(one + two)["choices"][0]["logprobs"] == {"content": [1, 2]}


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (event({"content": "a"}), "it ends in the middle"),
        (event({"content": "a"}, "stop"), "it ends in the middle"),
        (event({"content": "a"}) + b"data: {torn\n\n" + DONE, "cannot be read"),
        (DONE, "it ends in the middle"),
        (event({"tool_calls": "none"}, "stop") + event({}, "stop", index=1), "chunks differ"),
        (b":" * (MAX_ASSEMBLED + 1), "too long"),
    ],
)
def test_what_gives_no_answer(stream: bytes, why: str) -> None:
    with pytest.raises(NotAnAnswer, match=why) as caught:
        assemble(stream, b'"mine"', 2)
    assert caught.value.final
    assert caught.value.error is None


def test_an_error_in_it_is_told() -> None:
    stream = event({"content": "a"}) + b'data: {"error":{"code":400}}\n\n'
    with pytest.raises(NotAnAnswer) as caught:
        assemble(stream, b'"mine"', 1)
    assert caught.value.error == b'{"error":{"code":400}}'
