"""Requests of Converse, read and written for other dialects, and back again."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE, dialect_of_path
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import TranslatedRequest, Untranslatable, translate
from gateway.errors import InvalidRequest

from .....rounds import rounds
from ...canonical.recipient import To
from ..validating import validated

OTHERS: Final = (OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES)
HI: Final = {"role": "user", "content": [{"text": "Hi"}]}
TOOL: Final = {
    "toolSpec": {
        "name": "f",
        "description": "d",
        "inputSchema": {"json": {"type": "object", "properties": {}}},
    }
}


def read(body: dict[str, Any], to: Dialect = OPENAI_CHAT, **terms: Any) -> TranslatedRequest:
    caller = dialect_of_path("/model/m/converse")
    assert caller is not None
    validated(json.dumps(body).encode())
    return translate(caller.read_request(json.dumps(body).encode()), caller, To(to, **terms), 1.5)


def sent(body: dict[str, Any], to: Dialect = OPENAI_CHAT, **terms: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read(body, to, **terms).inner.body)
    return found


def test_a_chat() -> None:
    found = sent(
        {
            "system": [{"text": "S"}],
            "messages": [
                HI,
                {
                    "role": "assistant",
                    "content": [
                        {"text": "I look"},
                        {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"n": 1.5}}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "toolResult": {
                                "toolUseId": "t1",
                                "content": [{"json": {"a": [1]}}],
                                "status": "error",
                            }
                        }
                    ],
                },
            ],
            "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "stopSequences": ["x"]},
            "toolConfig": {"tools": [TOOL], "toolChoice": {"tool": {"name": "f"}}},
        }
    )
    assert [each["role"] for each in found["messages"]] == ["system", "user", "assistant", "tool"]
    (call,) = found["messages"][2]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"n": 1.5}
    assert '{"a": [1]}' in json.dumps(found["messages"][3]["content"]).replace('\\"', '"')
    assert found["stop"] == ["x"]
    assert found["tool_choice"]["function"]["name"] == "f"
    assert found["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize("to", OTHERS, ids=lambda each: each.name)
def test_pictures_and_documents(to: Dialect) -> None:
    content = [
        {"text": "Look"},
        {"image": {"format": "jpeg", "source": {"bytes": "AAAA"}}},
        {"document": {"format": "pdf", "name": "a", "source": {"bytes": "JVBERg=="}}},
    ]
    body = json.dumps(sent({"messages": [{"role": "user", "content": content}]}, to))
    assert "image/jpeg" in body
    assert "application/pdf" in body
    assert "JVBERg==" in body


def test_thinking_is_asked_for_by_members_of_the_model() -> None:
    own = {"thinking": {"type": "enabled", "budget_tokens": 2000}, "top_k": 5}
    body = {"messages": [HI], "additionalModelRequestFields": own}
    found = sent(body, ANTHROPIC_MESSAGES, reasoning="budget")
    assert found["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert sent(body, OPENAI_CHAT, reasoning="effort")["reasoning_effort"]
    nova = {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}
    body = {"messages": [HI], "additionalModelRequestFields": nova}
    assert sent(body, OPENAI_CHAT, reasoning="effort")["reasoning_effort"] == "low"
    with pytest.raises(Untranslatable, match=r"additionalModelRequestFields\.odd"):
        read({"messages": [HI], "additionalModelRequestFields": {"odd": 1}})


def test_cache_points() -> None:
    content = [{"text": "long"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    body = {"system": content, "messages": [{"role": "user", "content": content}]}
    found = sent(body, ANTHROPIC_MESSAGES)
    assert found["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert found["messages"][0]["content"][0]["cache_control"]["ttl"] == "1h"


def test_structured_output() -> None:
    schema = {"schema": '{"type":"object","properties":{"a":{"type":"number"}}}', "name": "it"}
    output = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
    found = sent({"messages": [HI], "outputConfig": output})
    assert found["response_format"]["json_schema"]["schema"]["properties"] == {
        "a": {"type": "number"}
    }


@pytest.mark.parametrize(
    "block",
    [
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}},
        {"video": {"format": "mp4", "source": {"bytes": "AAAA"}}},
        {"searchResult": {"source": "s", "title": "t", "content": [{"text": "x"}]}},
    ],
)
def test_what_only_bedrock_knows(block: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": [{"text": "x"}, block]}]}
    with pytest.raises(Untranslatable):
        read(body)
    assert len(read(body, drops=True).dropped) == 1


def test_what_a_guardrail_is_to_look_at_is_text() -> None:
    content = [{"guardContent": {"text": {"text": "Hi"}}}]
    request = read({"messages": [{"role": "user", "content": content}]})
    assert json.loads(request.inner.body)["messages"][0]["content"] == "Hi"
    assert request.dropped == ("messages.0.content.0.guardContent",)


def test_what_the_providers_servers_did_is_left_out() -> None:
    call = {"toolUseId": "s", "name": "search", "input": {}, "type": "server_tool_use"}
    result = {"toolUseId": "s", "content": [{"text": "x"}], "type": "web_search_tool_result"}
    content = [{"toolUse": call}, {"toolResult": result}, {"text": "Found"}]
    body = {"messages": [HI, {"role": "assistant", "content": content}, HI]}
    request = read(body)
    assert json.loads(request.inner.body)["messages"][1] == {
        "role": "assistant",
        "content": "Found",
    }
    assert len(request.dropped) == 2


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "messages is missing"),
        ({"messages": {}}, "array"),
        ({"messages": [{"role": "robot", "content": []}]}, "role"),
        ({"messages": [{"role": "user", "content": [{"text": 1}]}]}, "string"),
        ({"messages": [HI], "toolConfig": {"tools": [{"toolSpec": {}}]}}, "name is missing"),
    ],
)
def test_what_no_api_could_read(body: dict[str, Any], says: str) -> None:
    caller = dialect_of_path("/model/m/converse")
    assert caller is not None
    request = caller.read_request(json.dumps(body).encode())
    with pytest.raises(InvalidRequest, match=says):
        translate(request, caller, To(OPENAI_CHAT), 1.5)


TEXT: Final = st.text(min_size=1, max_size=20).filter(str.strip)
ARGUMENTS: Final = st.dictionaries(TEXT, st.integers() | TEXT, max_size=2)


@st.composite
def conversations(draw: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for turn in range(draw(st.integers(1, 3))):
        ids = [f"t_{turn}_{number}" for number in range(draw(st.integers(0, 2)))]
        found.append({"role": "user", "content": [{"text": draw(TEXT)}]})
        calls = [
            {"toolUse": {"toolUseId": id, "name": "f", "input": draw(ARGUMENTS)}} for id in ids
        ]
        found.append({"role": "assistant", "content": [{"text": draw(TEXT)}, *calls]})
        results = [
            {"toolResult": {"toolUseId": id, "content": [{"text": draw(TEXT)}]}} for id in ids
        ]
        if results:
            found.append({"role": "user", "content": results})
            found.append({"role": "assistant", "content": [{"text": draw(TEXT)}]})
    return found


@pytest.mark.parametrize("by", OTHERS, ids=lambda each: each.name)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=rounds(20, 300))
@given(conversations())
def test_a_conversation_goes_there_and_back(by: Dialect, messages: list[dict[str, Any]]) -> None:
    body = {"system": [{"text": "S"}], "messages": messages, "toolConfig": {"tools": [TOOL]}}
    there = read(body, by)
    back = translate(by.read_request(there.inner.body), by, To(BEDROCK_CONVERSE), 1.5)
    found = validated(back.inner.body)
    assert found["messages"] == messages
    assert found["system"] == body["system"]
    assert found["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"] == {
        "json": {"type": "object", "properties": {}}
    }
