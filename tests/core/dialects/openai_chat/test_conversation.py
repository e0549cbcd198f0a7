"""Requests and answers as a person reads them; whatever came, something is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.conversation import PartKind
from gateway.core.dialects.openai_chat.conversation import read_answer, read_request, read_stream
from gateway.core.dialects.reading import read_conversation


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_request_with_everything() -> None:
    found = read_request(encoded({
        "model": "m", "temperature": 0, "tools": [{"type": "function", "function": {"name": "f"}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                {"type": "image_url", "image_url": {"url": "https://e.org/x.png"}},
                {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "QUJD"}},
                {"type": "new", "x": 1},
            ]},
            {"role": "assistant", "content": None, "reasoning_content": "hm",
             "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "content": "42"},
        ],
    }))  # fmt: skip
    assert found.settings == {"temperature": 0}
    assert found.tools == ["f"]
    system, user, assistant, tool = found.turns
    assert system.parts[0].text == "Be brief."
    assert user.name == "ann"
    assert [each.kind.value for each in user.parts] == [
        "text", "image", "image", "sound", "file", "other"]  # fmt: skip
    assert (user.parts[1].media_type, user.parts[1].bytes) == ("image/png", 3)
    assert user.parts[2].text == "https://e.org/x.png"
    assert user.parts[4].title == "a.pdf"
    assert [each.kind for each in assistant.parts] == [PartKind.REASONING, PartKind.TOOL_CALL]
    assert tool.parts[0].kind is PartKind.TOOL_RESULT


def test_a_stream_is_put_together() -> None:
    deltas: list[Any] = [
        {"role": "assistant", "reasoning": "Let "}, {"reasoning": "me"}, {"content": "Hi"},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{\"a\""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}},
                        {"index": 1, "function": {"name": "g", "arguments": "{}"}}]},
    ]  # fmt: skip
    events = [encoded({"choices": [{"index": 0, "delta": each}]}) for each in deltas]
    events += [
        encoded({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        b"[DONE]",
    ]
    (turn,) = read_stream(events)
    assert turn.note == "stop"
    assert [(each.kind.value, each.title, each.text) for each in turn.parts] == [
        ("reasoning", "", "Let me"), ("text", "", "Hi"),
        ("tool_call", "f", '{"a": 1}'), ("tool_call", "g", "{}"),
    ]  # fmt: skip


def test_a_whole_answer() -> None:
    body = encoded({"choices": [{"message": {"content": "Hi"}, "finish_reason": "length"}]})
    (turn,) = read_answer(body)
    assert (turn.role, turn.note, turn.parts[0].text) == ("assistant", "length", "Hi")


def test_another_path_is_another_dialect() -> None:
    assert read_conversation("/v1/files", b"{}") is None
    assert read_conversation("/v1/chat/completions?x=1", b'{"messages": []}') is not None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5)
    | st.sampled_from(["text", "image_url", "function", "data:image/png;base64,AA"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["messages", "role", "content", "type", "text", "image_url", "url", "index",
                         "tool_calls", "function", "name", "arguments", "choices", "delta",
                         "message", "file", "input_audio", "data", "tools", "finish_reason"]),
        inner, max_size=4,
    ),
    max_leaves=25,
)  # fmt: skip


@given(_JSON)
def test_nothing_that_anyone_sends_is_an_error(value: Any) -> None:
    body = encoded(value)
    read_request(body)
    read_answer(body)
    read_stream([body, body[:-1], b"\xff"])
    read_request(encoded({"messages": value}))
    read_answer(encoded({"choices": value}))
    read_stream([encoded({"choices": value})] * 2)
    read_stream([encoded({"choices": [{"delta": value}]})])


@pytest.mark.parametrize("body", [b"", b"[", b"null", b"[]", b"\xff", b'{"messages": 1}'])
def test_what_is_no_request_has_no_turns(body: bytes) -> None:
    assert read_request(body).turns == []
