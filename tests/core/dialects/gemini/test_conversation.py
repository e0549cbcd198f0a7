from __future__ import annotations

import pytest

from gateway.core.dialects.conversation import Conversation, PartKind
from gateway.core.dialects.reading import read_conversation

from .events import call, chunk, dumped, text

TARGET = "/v1beta/models/m:streamGenerateContent"
REQUEST = {
    "system_instruction": {"parts": {"text": "Be brief."}},
    "contents": [
        {"role": "user", "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png"}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
        {"parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}],
    "generationConfig": {"temperature": 1},
}


def test_a_request_and_its_stream() -> None:
    events = [
        dumped(chunk(text("Let me", thought=True))),
        dumped(chunk(text("He"))),
        dumped(chunk(text("llo"))),
        dumped(chunk(call("g", args={}), reason="STOP")),
    ]
    found = read_conversation(f"{TARGET}?alt=sse", dumped(REQUEST), events)
    assert found is not None
    assert [turn.role for turn in found.turns] == ["system", "user", "model", "user"]
    kinds = [part.kind for turn in found.turns for part in turn.parts]
    assert kinds == [
        *(PartKind.TEXT, PartKind.TEXT, PartKind.IMAGE, PartKind.TOOL_CALL, PartKind.TOOL_RESULT),
    ]
    assert found.tools == ["f", "googleSearch"]
    assert found.settings == {"generationConfig": {"temperature": 1}}
    [answer] = found.answers
    assert [part.text for part in answer.parts] == ["Let me", "Hello", "{}"]
    assert (answer.role, answer.note) == ("model", "STOP")


def test_whole_answers() -> None:
    for body in (dumped(chunk(text("Hi"), reason="STOP")), dumped([chunk(text("Hi"))])):
        found = read_conversation("/models/m:generateContent", dumped(REQUEST), (), body)
        assert found is not None
        assert found.answers[0].parts[0].text == "Hi"
    blocked = dumped({"promptFeedback": {"blockReason": "SAFETY"}})
    found = read_conversation("/models/m:generateContent", dumped(REQUEST), (), blocked)
    assert found is not None
    assert found.answers[0].note == "SAFETY"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"contents":5}', b'{"contents":[1,{"parts":[2]}]}'])
def test_whatever_comes_something_is_shown(body: bytes) -> None:
    found = read_conversation(TARGET, body, [b"x", b'{"candidates":[5]}'], b"5")
    assert isinstance(found, Conversation)
