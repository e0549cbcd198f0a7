from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.canonical.fidelity import Untranslatable
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.translators import translate
from gateway.errors import InvalidRequest

from ...canonical.recipient import To
from .asking import from_gemini

SCHEMA = {"type": "object", "properties": {"n": {"type": "number"}}}


def chat(body: dict[str, Any], **to: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(from_gemini(body, OPENAI_CHAT, **to).inner.body)
    return found


def snake(found: Any) -> Any:
    """Return a request in the other spelling of its members."""
    if isinstance(found, list):
        return [snake(each) for each in found]
    if not isinstance(found, dict):
        return found
    opaque = ("parametersJsonSchema", "responseJsonSchema", "args", "response")
    return {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in key): (
            value if key in opaque else snake(value)
        )
        for key, value in found.items()
    }


CONVERSATION: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "Weather?"},
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                {"fileData": {"fileUri": "https://h.example/a.png", "mimeType": "image/png"}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "I "},
                {"text": "look."},
                {"functionCall": {"name": "w", "args": {"n": 1}}},
                {"functionCall": {"name": "w", "args": {"n": 2}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "w", "response": {"output": "one"}}},
                {"functionResponse": {"name": "w", "response": {"t": 2.50}}},
                {"text": "And?"},
            ],
        },
    ],
    "tools": [{"functionDeclarations": [{"name": "w", "parametersJsonSchema": SCHEMA}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["w"]}},
    "generationConfig": {
        "maxOutputTokens": 100,
        "temperature": 0.50,
        "topP": 0.9,
        "stopSequences": ["END"],
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    },
}


@pytest.mark.parametrize("spelled", [lambda found: found, snake], ids=["camel", "snake"])
def test_a_conversation(spelled: Any) -> None:
    found = chat(spelled(CONVERSATION))
    system, user, said, one, two, last = found["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "image_url"]
    assert user["content"][1]["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgo="
    assert said["content"] == "I look."
    ids = [call["id"] for call in said["tool_calls"]]
    assert len(set(ids)) == 2
    arguments = [call["function"]["arguments"] for call in said["tool_calls"]]
    assert [json.loads(each) for each in arguments] == [{"n": 1}, {"n": 2}]
    assert [(each["tool_call_id"], each["content"]) for each in (one, two)] == [
        (ids[0], "one"),
        (ids[1], '{"t": 2.5}'),
    ]
    assert last["content"] == "And?"
    assert found["tools"][0]["function"]["parameters"] == SCHEMA
    assert found["tool_choice"] == {"type": "function", "function": {"name": "w"}}
    assert (found["max_tokens"], found["temperature"], found["stop"]) == (100, 0.5, ["END"])
    assert found["response_format"]["json_schema"]["schema"] == SCHEMA


def test_numbers_keep_their_digits() -> None:
    body = (
        b'{"model":"m","contents":[{"role":"model","parts":[{"functionCall":{"name":"f",'
        b'"args":{"big":12345678901234567890,"x":1.50}}}]}],'
        b'"generationConfig":{"temperature":0.70}}'
    )
    sent = translate(GEMINI.read_request(body), GEMINI, To(OPENAI_CHAT), 0.0).inner.body
    assert b'{\\"big\\":12345678901234567890,\\"x\\":1.50}' in sent
    assert b'"temperature":0.70' in sent


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"mode": "AUTO"}, "auto"),
        ({"mode": "VALIDATED"}, "auto"),
        ({"mode": "NONE"}, "none"),
        ({"mode": "ANY"}, "required"),
        ({"mode": "any"}, "required"),
        ({"mode": "ANY", "allowedFunctionNames": ["a", "b"]}, "required"),
    ],
)
def test_modes_of_calling(config: dict[str, Any], expected: str) -> None:
    tools = [{"functionDeclarations": [{"name": name} for name in ("a", "b", "c")]}]
    found = chat({"tools": tools, "toolConfig": {"functionCallingConfig": config}})
    assert found["tool_choice"] == expected
    names = [each["function"]["name"] for each in found["tools"]]
    assert names == config.get("allowedFunctionNames", ["a", "b", "c"])


def test_media() -> None:
    text = base64.urlsafe_b64encode("Grüße?>".encode()).decode()
    found = chat(
        {
            "contents": [
                {
                    "parts": [
                        {"inlineData": {"mimeType": "audio/mpeg", "data": "AAAA"}},
                        {"inlineData": {"mimeType": "application/pdf", "data": "a-_b"}},
                        {"inlineData": {"mimeType": "text/plain; charset=utf-8", "data": text}},
                    ]
                }
            ]
        }
    )
    audio, pdf, plain = found["messages"][0]["content"]
    assert audio["input_audio"] == {"data": "AAAA", "format": "mp3"}
    assert pdf["file"]["file_data"] == "data:application/pdf;base64,a+/b"
    assert plain == {"type": "text", "text": "Grüße?>"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"thinkingBudget": 0}, {"type": "disabled"}),
        ({"thinkingBudget": 2048}, {"type": "enabled", "budget_tokens": 2048}),
        ({"thinkingLevel": "LOW"}, {"type": "enabled", "budget_tokens": 2048}),
        ({"includeThoughts": False}, None),
    ],
)
def test_thinking(config: dict[str, Any], expected: Any) -> None:
    request = from_gemini(
        {"generationConfig": {"thinkingConfig": config, "maxOutputTokens": 9000}},
        ANTHROPIC_MESSAGES,
        reasoning="budget",
    )
    assert json.loads(request.inner.body).get("thinking") == expected


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"cachedContent": "cachedContents/1"}, "cachedContent"),
        ({"brandNew": 1}, "brandNew"),
        (
            {"generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}},
            "generationConfig.responseModalities",
        ),
        ({"generationConfig": {"speechConfig": {}}}, "generationConfig.speechConfig"),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "video/mp4", "data": ""}}]}]},
            "contents.0.parts.0.inlineData",
        ),
        (
            {"contents": [{"parts": [{"fileData": {"fileUri": "gs://b/x", "mimeType": "x/y"}}]}]},
            "contents.0.parts.0.fileData",
        ),
        ({"contents": [{"parts": [{"brandNew": {}}]}]}, "contents.0.parts.0.brandNew"),
    ],
)
def test_what_only_google_can_is_refused_by_its_name(body: dict[str, Any], member: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        from_gemini(body, OPENAI_CHAT)
    assert caught.value.member == member
    assert member in from_gemini(body, OPENAI_CHAT, drops=True).dropped


def test_what_is_harmless_is_left_out_and_listed() -> None:
    body = {
        "safetySettings": [{"category": "x", "threshold": "BLOCK_NONE"}],
        "labels": {"a": "b"},
        "tools": [{"googleSearch": {}}, {"codeExecution": {}}],
        "generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW", "topK": 3},
    }
    assert set(from_gemini(body, OPENAI_CHAT).dropped) == {
        *("safetySettings", "labels", "tools.0 (googleSearch)", "tools.1 (codeExecution)"),
        *("generationConfig.mediaResolution", "generationConfig.topK"),
    }


@pytest.mark.parametrize(
    "body",
    [
        {"contents": 5},
        {"contents": [5]},
        {"contents": [{"role": "robot", "parts": []}]},
        {"contents": [{"parts": [{"text": 5}]}]},
        {"contents": [{"parts": [{"functionCall": {}}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "text/plain", "data": "a"}}]}]},
        {"generationConfig": 5},
        {"tools": [{"functionDeclarations": [{}]}]},
    ],
)
def test_what_no_api_could_read(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        from_gemini(body, OPENAI_CHAT)


def test_chats_of_google_s_sdk_keep_each_event_as_a_content() -> None:
    pieces = [
        {"role": "model", "parts": [{"text": "Hm", "thought": True}]},
        {"role": "model", "parts": [{"text": "Hel"}]},
        {"role": "model", "parts": [{"text": "lo"}]},
        {"role": "model", "parts": [{"text": ""}]},
    ]
    found = chat({"contents": [{"parts": [{"text": "a"}]}, *pieces, {"parts": [{"text": "b"}]}]})
    assert [(each["role"], each["content"]) for each in found["messages"]] == [
        ("user", "a"),
        ("assistant", "Hello"),
        ("user", "b"),
    ]
