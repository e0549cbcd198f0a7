"""Whole answers of Converse: as they are, as a stream, and put together again."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.core.dialects.base import NotAnAnswer
from gateway.core.dialects.bedrock_converse.answer import as_stream, assemble, rewrite_answer
from gateway.core.records.usage import Usage

from .frames import STARTED, read_by_botocore, stream_of

CONTENT: Final[list[dict[str, Any]]] = [
    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "SIG"}}},
    {"reasoningContent": {"redactedContent": "QUJD"}},
    {"text": "Hello ü"},
    {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1.5, "b": [None]}}},
    {"toolUse": {"toolUseId": "u", "name": "g", "input": {}}},
    {
        "citationsContent": {
            "content": [{"text": "cited"}],
            "citations": [{"title": "T", "location": {"web": {"url": "https://h"}}}],
        }
    },
]


def answer(content: list[dict[str, Any]], **more: Any) -> bytes:
    return json.dumps(
        {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": "tool_use",
            "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
            "metrics": {"latencyMs": 5},
            **more,
        }
    ).encode()


def test_an_answer_keeps_every_byte() -> None:
    body = answer(CONTENT, somethingNew=[1.50])
    found = rewrite_answer(body)
    assert found.body == body
    assert found.usage == Usage(input_tokens=1, output_tokens=2)
    assert rewrite_answer(answer(CONTENT, usage={})).text_tokens > 3


def test_there_and_back() -> None:
    body = answer(CONTENT, additionalModelResponseFields={"a": 1}, trace={"x": 1})
    stream = as_stream(body)
    assert len(read_by_botocore(stream)) == 19
    assert json.loads(assemble(stream).body) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html>", False),
        (b"[]", False),
        (b"{}", False),
        (b'{"output":{}}', False),
        (b'{"output":3}', False),
        (b'{"message":"no"}', False),
        (b'{"__type":"ThrottlingException","message":"slow"}', True),
    ],
)
def test_what_is_no_answer(body: bytes, error: bool) -> None:
    for read in (rewrite_answer, as_stream):
        with pytest.raises(NotAnAnswer) as found:
            read(body)
        assert (found.value.error == body) == error or body == b'{"message":"no"}'


def test_streams_that_cannot_be_put_together() -> None:
    odd = {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": 3}}}
    two = stream_of(
        STARTED, {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "x"}}}, odd
    )
    for stream in (b"data: x\n\n     ", two):
        with pytest.raises(NotAnAnswer) as found:
            assemble(stream)
        assert found.value.final
