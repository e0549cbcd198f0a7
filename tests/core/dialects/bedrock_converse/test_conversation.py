"""Converse as a person reads it."""

from __future__ import annotations

import json

from gateway.core.dialects.conversation import PartKind
from gateway.core.dialects.reading import read_conversation

from .frames import HELLO

REQUEST = {
    "system": [{"text": "Be brief"}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"text": "Look"},
                {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
                {"document": {"format": "pdf", "name": "a", "source": {"bytes": "AAAA"}}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm"}}},
                {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
            ],
        },
        {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "ok"}]}}],
        },
        "odd",
    ],
    "toolConfig": {"tools": [{"toolSpec": {"name": "f"}}, {"cachePoint": {}}]},
    "inferenceConfig": {"maxTokens": 3},
}


def test_a_request_and_its_stream() -> None:
    events = [json.dumps(body).encode() for each in HELLO for body in each.values()]
    target = "/model/m/converse-stream"
    found = read_conversation(target, json.dumps(REQUEST).encode(), events)
    assert found is not None
    assert [turn.role for turn in found.turns] == ["system", "user", "assistant", "user", "?"]
    kinds = [part.kind for turn in found.turns for part in turn.parts]
    assert kinds == [
        *(PartKind.TEXT, PartKind.TEXT, PartKind.IMAGE, PartKind.FILE, PartKind.REASONING),
        *(PartKind.TOOL_CALL, PartKind.TOOL_RESULT, PartKind.OTHER),
    ]
    assert found.tools == ["f"]
    assert found.settings == {"inferenceConfig": {"maxTokens": 3}}
    (answer,) = found.answers
    assert (answer.parts[0].text, answer.note) == ("Hello", "end_turn")


def test_a_whole_answer_and_what_is_none() -> None:
    content = [{"text": "Ho"}]
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "x"}
    found = read_conversation("/model/m/converse", b"{}", body=json.dumps(body).encode())
    assert found is not None
    assert found.answers[0].parts[0].text == "Ho"
    for odd in (b"", b"[]", b'{"output":3}', b'{"output":{"message":{"content":"x"}}}'):
        assert read_conversation("/model/m/converse", odd, body=odd) is not None
    events = [b"x", b"[]", b'{"delta":{"toolUse":3}}', b'{"contentBlockIndex":"a","start":{}}']
    assert read_conversation("/model/m/converse", b"x", events) is not None
