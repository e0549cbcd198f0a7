from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.demo.gemini import answers_at

FUNCTION = {
    "name": "weather",
    "parametersJsonSchema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TOOLS = [{"functionDeclarations": [FUNCTION]}]
RESULT = {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {}}}]}
ASKED = {"role": "user", "parts": [{"text": "Why is the sky blue?"}]}


def reply(method: str, **body: Any) -> Any:
    answers = answers_at(b"/v1beta/models/demo:%b" % method.encode())
    assert answers is not None
    return answers(json.dumps(body).encode(), 0)


def parts_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = found["candidates"][0]["content"]["parts"]
    return parts


@pytest.mark.parametrize(
    ("more", "kinds", "reason"),
    [
        ({}, ["text"], "STOP"),
        ({"generationConfig": {"maxOutputTokens": 3}}, ["text"], "MAX_TOKENS"),
        ({"tools": TOOLS}, ["text", "functionCall"], "STOP"),
        ({"tools": TOOLS, "contents": [ASKED, RESULT]}, ["text"], "STOP"),
        (
            {"generation_config": {"thinking_config": {"include_thoughts": True}}},
            ["thought", "text"],
            "STOP",
        ),
    ],
)
def test_streamed_and_whole_say_the_same(
    more: dict[str, Any], kinds: list[str], reason: str
) -> None:
    body = {"contents": [ASKED], **more}
    found = json.loads(reply("generateContent", **body).whole())
    assert [
        "thought" if part.get("thought") else next(iter(part)) for part in parts_of(found)
    ] == kinds
    assert found["candidates"][0]["finishReason"] == reason
    counts = found["usageMetadata"]
    assert counts["totalTokenCount"] == sum(counts.values()) - counts["totalTokenCount"]
    events = [json.loads(each[6:]) for each in reply("streamGenerateContent", **body).events()]
    streamed = [part for event in events for part in parts_of(event)]
    for thought in (False, True):
        said, told = (
            "".join(each.get("text", "") for each in given if each.get("thought", False) is thought)
            for given in (parts_of(found), streamed)
        )
        assert said == told
    assert [each for each in streamed if "functionCall" in each] == [
        each for each in parts_of(found) if "functionCall" in each
    ]
    assert events[-1]["candidates"][0]["finishReason"] == reason
    assert events[-1]["usageMetadata"] == counts


def test_a_call_has_what_its_schema_requires() -> None:
    found = json.loads(reply("generateContent", contents=[ASKED], tools=TOOLS).whole())
    call = parts_of(found)[1]
    assert call["functionCall"] == {"name": "weather", "args": {"city": "demo"}}
    assert call["thoughtSignature"]


def test_numbers() -> None:
    assert json.loads(reply("countTokens", contents=[ASKED]).whole()) == {"totalTokens": 5}
    inner = {"model": "models/demo", "contents": [ASKED]}
    assert json.loads(reply("countTokens", generateContentRequest=inner).whole()) == {
        "totalTokens": 5
    }
    one = json.loads(reply("embedContent", content=ASKED, outputDimensionality=3).whole())
    assert len(one["embedding"]["values"]) == 3
    many = json.loads(reply("batchEmbedContents", requests=[{"content": ASKED}] * 2).whole())
    assert len(many["embeddings"]) == 2


def test_other_paths_are_none_of_its() -> None:
    for path in (b"/v1beta/models/demo", b"/v1/chat/completions", b"/v1beta/models/demo:predict"):
        assert answers_at(path) is None
