"""Chats of Cohere's, read and written for other dialects, and back again."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.cohere.dialect import COHERE_CHAT
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.translators import TranslatedRequest, Untranslatable, translate
from gateway.errors import InvalidRequest

from ...canonical.recipient import To

HI: Final = {"role": "user", "content": "Hi"}
PARAMETERS: Final = {"type": "object", "properties": {"n": {"type": "integer"}}}
TOOLS: Final = [
    {"type": "function", "function": {"name": name, "description": "d", "parameters": PARAMETERS}}
    for name in ("f", "g")
]
CALL: Final = {
    "id": "c1",
    "type": "function",
    "function": {"name": "f", "arguments": '{"n": 1.50}'},
}


def translated(
    body: dict[str, Any], caller: Dialect, to: Dialect, **terms: Any
) -> TranslatedRequest:
    request = caller.read_request(json.dumps(body).encode())
    return translate(request, caller, To(to, **terms), 1.5)


def read(to: Dialect = OPENAI_CHAT, **members: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [HI], **members}
    found: dict[str, Any] = json.loads(translated(body, COHERE_CHAT, to).inner.body)
    return found


def written(**members: Any) -> dict[str, Any]:
    """Return what Cohere gets of a chat."""
    terms = members.pop("terms", {})
    body = {"model": "m", "messages": [HI], **members}
    request = translated(body, OPENAI_CHAT, COHERE_CHAT, **terms)
    found: dict[str, Any] = json.loads(request.inner.body)
    return found | {"dropped": request.dropped}


def test_a_chat_is_read() -> None:
    found = read(
        messages=[
            {"role": "system", "content": "S"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See"},
                    {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "low"}},
                ],
            },
            {"role": "assistant", "tool_plan": "I look.", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "one"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "So"}]},
            HI,
        ],
        tools=TOOLS,
        strict_tools=True,
        tool_choice="REQUIRED",
        max_tokens=9,
        stop_sequences=["x"],
        k=5,
        p=0.5,
        seed=7,
        frequency_penalty=0.5,
        safety_mode="STRICT",
        priority=3,
        stream=True,
    )
    roles = [each["role"] for each in found["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert found["messages"][1]["content"][1]["image_url"] == {
        "url": "https://h/a.png",
        "detail": "low",
    }
    assert found["messages"][2]["content"] == "I look."
    assert found["messages"][2]["tool_calls"] == [CALL]
    assert found["messages"][3]["content"] == "one"
    assert [each["function"]["strict"] for each in found["tools"]] == [True, True]
    assert (found["tool_choice"], found["max_tokens"], found["stop"]) == ("required", 9, ["x"])
    assert (found["top_p"], found["seed"], found["frequency_penalty"]) == (0.5, 7, 0.5)
    assert found["stream"] is True


def test_thinking_and_formats_are_read() -> None:
    format_ = {"type": "json_object", "json_schema": PARAMETERS}
    thinking = {"type": "enabled", "token_budget": 2000}
    found = read(ANTHROPIC_MESSAGES, response_format=format_, max_tokens=9000)
    assert found["output_config"]["format"]["schema"] == PARAMETERS
    body = {"model": "m", "messages": [HI], "thinking": thinking, "max_tokens": 9000}
    request = translated(body, COHERE_CHAT, ANTHROPIC_MESSAGES, reasoning="budget")
    assert json.loads(request.inner.body)["thinking"]["budget_tokens"] == 2000
    body["thinking"] = {"type": "disabled"}
    request = translated(body, COHERE_CHAT, ANTHROPIC_MESSAGES, reasoning="budget")
    assert json.loads(request.inner.body)["thinking"] == {"type": "disabled"}


def test_documents_are_read_as_such() -> None:
    documents = [
        "plain",
        {"id": "d", "data": {"title": "T", "text": "said"}},
        {"data": {"price": 3, "name": "n"}},
    ]
    found = read(ANTHROPIC_MESSAGES, documents=documents)
    blocks = found["messages"][0]["content"]
    assert [each["source"]["data"] for each in blocks[:3]] == ["plain", "said", "price: 3\nname: n"]
    assert blocks[1]["title"] == "T"
    assert all(each["citations"] == {"enabled": True} for each in blocks[:3])
    quiet = read(ANTHROPIC_MESSAGES, documents=["x"], citation_options={"mode": "OFF"})
    assert "citations" not in quiet["messages"][0]["content"][0]
    request = translated(
        {"model": "m", "messages": [HI], "documents": ["x"]}, COHERE_CHAT, OPENAI_CHAT
    )
    assert request.dropped == ("citation_options",)


def test_what_cannot_be_read() -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"messages": []},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": 3},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"tools": [{"type": "function"}]},
        {"documents": [3]},
    )
    for members in wrong:
        with pytest.raises(InvalidRequest):
            read(**members)
    foreign: tuple[tuple[dict[str, Any], str], ...] = (
        ({"logprobs": True}, "logprobs"),
        ({"raw_prompting": True}, "raw_prompting"),
        ({"tool_choice": "SOME"}, "tool_choice"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages.0.content.0"),
    )
    for members, name in foreign:
        with pytest.raises(Untranslatable, match=name):
            read(**members)


def test_a_chat_is_written() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
    found = written(
        messages=[
            {"role": "developer", "content": "S"},
            {"role": "user", "content": [{"type": "text", "text": "See"}, image]},
            {"role": "assistant", "content": "I look.", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "system", "content": "Later"},
            {"role": "assistant", "content": "So"},
            HI,
        ],
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "g"}},
        parallel_tool_calls=False,
        max_completion_tokens=9,
        temperature=1.5,
        top_p=1,
        seed=7,
        stop=["x"],
        presence_penalty=0,
        user="u",
    )
    assert found["messages"] == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": [{"type": "text", "text": "See"}, image]},
        {"role": "assistant", "tool_calls": [CALL], "tool_plan": "I look."},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "user", "content": "Later"},
        {"role": "assistant", "content": "So"},
        HI,
    ]
    assert [each["function"]["name"] for each in found["tools"]] == ["g"]
    assert found["tool_choice"] == "REQUIRED"
    assert (found["max_tokens"], found["temperature"], found["p"]) == (9, 1.5, 0.99)
    assert (found["seed"], found["stop_sequences"]) == (7, ["x"])
    assert "presence_penalty" not in found
    assert found["dropped"] == (
        *("messages.4 (its place among the instructions)", "parallel_tool_calls", "user"),
    )


def test_thinking_and_formats_are_written() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": PARAMETERS}}
    found = written(response_format=schema)
    assert found["response_format"] == {"type": "json_object", "json_schema": PARAMETERS}
    assert written(response_format={"type": "json_object"})["response_format"] == {
        "type": "json_object"
    }
    with pytest.raises(Untranslatable, match="response_format"):
        written(response_format=schema, tools=TOOLS)
    thinks = {"reasoning": "budget"}
    for effort, limit, expected in (
        ("low", None, {"type": "enabled", "token_budget": 2048}),
        ("low", 1000, {"type": "enabled", "token_budget": 999}),
        ("high", None, {"type": "enabled"}),
        ("none", None, {"type": "disabled"}),
    ):
        more = {} if limit is None else {"max_tokens": limit}
        found = written(reasoning_effort=effort, terms=thinks, **more)
        assert found["thinking"] == expected
    found = written(reasoning_effort="low")
    assert "thinking" not in found
    assert found["dropped"] == ("reasoning_effort",)
    thought = {"role": "assistant", "content": "So", "reasoning_content": "Hm."}
    found = written(messages=[HI, thought, HI])
    assert found["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "So"},
    ]


def test_documents_are_written_beside_the_messages() -> None:
    document = {
        "type": "document",
        "title": "T",
        "source": {"type": "text", "media_type": "text/plain", "data": "said"},
        "citations": {"enabled": True},
    }
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [document, {"type": "text", "text": "Go"}]}],
    }
    request = translated(body, ANTHROPIC_MESSAGES, COHERE_CHAT)
    found = json.loads(request.inner.body)
    assert found["documents"] == [{"id": "doc:0", "data": {"title": "T", "text": "said"}}]
    assert found["messages"] == [{"role": "user", "content": "Go"}]
    assert request.dropped == ()
    # Beside a format there are none.
    body["output_config"] = {"format": {"type": "json_schema", "schema": PARAMETERS}}
    request = translated(body, ANTHROPIC_MESSAGES, COHERE_CHAT)
    found = json.loads(request.inner.body)
    assert "documents" not in found
    assert found["messages"][0]["content"][0] == {"type": "text", "text": "said"}
    assert request.dropped == ("messages.0.content.0.citations",)


def test_what_cannot_be_written() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}
    for members in (
        {"n": 2},
        {"logprobs": True},
        {"logit_bias": {"1": 2}},
        {"presence_penalty": -1},
        {"frequency_penalty": 1.5},
        {"messages": [{"role": "user", "content": [audio]}]},
    ):
        with pytest.raises(Untranslatable):
            written(**members)
    # More stop sequences than it takes are looked for by the gateway.
    body = {"model": "m", "messages": [HI], "stop": [*"abcdef"]}
    assert translated(body, OPENAI_CHAT, COHERE_CHAT).stops == ["f"]
