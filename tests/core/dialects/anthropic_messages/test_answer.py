from __future__ import annotations

import json

import pytest

from gateway.core.dialects.anthropic_messages.answer import rewrite_answer
from gateway.core.dialects.base import NotAnAnswer
from gateway.core.records.usage import Usage

from .events import STOP, end, event, start, text, whole

BODY = (
    b'{ "id":"msg_1","model":"claude-x","content":[{"type":"text","text":"caf\\u00e9"}],'
    b'"stop_reason":"end_turn","odd":1.50,"usage":{"input_tokens":3,"output_tokens":4} }'
)


def test_only_the_model_is_changed() -> None:
    found = rewrite_answer(BODY, b'"mine"')
    assert found.body == BODY.replace(b"claude-x", b"mine")
    assert found.usage == Usage(3, 4)


def test_a_refusal_has_no_content_and_is_an_answer() -> None:
    body = b'{"content":[],"stop_reason":"refusal","usage":{"input_tokens":3,"output_tokens":4}}'
    assert rewrite_answer(body, b'"m"').body == body


@pytest.mark.parametrize(
    ("body", "is_error"),
    [
        (b'{"type":"error","error":{"type":"overloaded_error","message":"O"}}', True),
        (b'{"error":{"message":"O"},"content":[]}', True),
        (b'{"base_resp":{"status_code":1002,"status_msg":"slow down"}}', True),
        (b'{"base_resp":{"status_code":0}}', False),
        (b"{}", False),
        (b"<html>", False),
        (b"[]", False),
    ],
)
def test_what_is_no_answer(body: bytes, is_error: bool) -> None:
    with pytest.raises(NotAnAnswer) as caught:
        rewrite_answer(body, b'"m"')
    assert (caught.value.error is not None) is is_error


def test_a_stream_instead_of_an_answer() -> None:
    tool = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": '{"a":'}
    rest = {"type": "input_json_delta", "partial_json": " 1.50}"}
    stream = (
        start()
        + text("He", "llo")
        + event("content_block_start", index=1, content_block=tool)
        + event("content_block_delta", index=1, delta=delta)
        + event("content_block_delta", index=1, delta=rest)
        + event("content_block_stop", index=1)
        + end("tool_use")
        + STOP
    )
    found = rewrite_answer(stream, b'"mine"')
    assert b'{"a": 1.50}' in found.body
    answer = json.loads(found.body)
    assert answer["model"] == "mine"
    assert answer["content"] == [{"type": "text", "text": "Hello"}, tool | {"input": {"a": 1.5}}]
    assert answer["stop_reason"] == "tool_use"
    assert answer["usage"] == {"input_tokens": 10, "output_tokens": 5}
    assert found.usage == Usage(10, 5)


@pytest.mark.parametrize(
    "stream",
    [
        whole("Hi")[: -len(STOP)],
        start() + event("error", error={"type": "api_error", "message": "O"}),
        start() + event("content_block_delta", index=3, delta={"type": "text_delta"}) + STOP,
    ],
)
def test_half_a_stream_is_no_answer(stream: bytes) -> None:
    with pytest.raises(NotAnAnswer):
        rewrite_answer(stream, b'"m"')
