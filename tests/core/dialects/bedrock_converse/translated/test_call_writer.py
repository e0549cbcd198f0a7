"""Requests of other dialects, written for Converse: valid by botocore's model of it."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE
from gateway.core.dialects.model_terms import ModelTerms
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import TranslatedRequest, Untranslatable, translate

from ...canonical.recipient import To
from ..validating import validated

CLAUDE: Final = b'"us.anthropic.claude-sonnet-4-5-20250929-v1:0"'
NOVA: Final = b'"amazon.nova-2-lite-v1:0"'
PICTURE: Final = "data:image/png;base64,iVBORw0KGgo="
WEATHER: Final = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Say how it is",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    },
}


def translated(caller: Dialect, body: dict[str, Any], **to: Any) -> TranslatedRequest:
    request = caller.read_request(json.dumps({"model": "m"} | body).encode())
    return translate(request, caller, To(BEDROCK_CONVERSE, **to), 1.5)


def sent(caller: Dialect, body: dict[str, Any], **to: Any) -> dict[str, Any]:
    request = translated(caller, body, **to)
    found = validated(request.inner.body_for(To(BEDROCK_CONVERSE)))
    assert not found.keys() & {"model", "modelId", "stream"}
    return found


def chat(*messages: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}, *messages], **rest}


def test_text_and_instructions() -> None:
    found = sent(
        OPENAI_CHAT,
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Ho"},
                {"role": "user", "content": "And?"},
            ],
            "max_tokens": 7,
            "temperature": 0.50,
            "top_p": 0.9,
            "stop": ["a", "b"],
        },
    )
    assert found["system"] == [{"text": "Be brief."}, {"text": "Be kind."}]
    assert [each["role"] for each in found["messages"]] == ["user", "assistant", "user"]
    assert found["inferenceConfig"] == {
        "maxTokens": 7,
        "temperature": 0.5,
        "topP": 0.9,
        "stopSequences": ["a", "b"],
    }


def test_the_path_says_model_and_stream() -> None:
    request = translated(OPENAI_CHAT, chat(stream=True), model_json=CLAUDE)
    assert request.inner.model == json.loads(CLAUDE)
    assert request.inner.stream
    target = BEDROCK_CONVERSE.target(b"/x", request.inner.model, stream=True)
    assert target == (b"/x/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream")


def test_roles_take_turns_and_instructions_keep_their_place() -> None:
    request = translated(
        OPENAI_CHAT,
        chat(
            {"role": "user", "content": "Still there?"},
            {"role": "assistant", "content": "Yes"},
            {"role": "system", "content": "Speak French."},
            {"role": "user", "content": "Go on"},
        ),
    )
    found = validated(request.inner.body)
    assert [each["role"] for each in found["messages"]] == ["user", "assistant", "user"]
    assert [each["text"] for each in found["messages"][0]["content"]] == ["Hi", "Still there?"]
    assert [each["text"] for each in found["messages"][2]["content"]] == ["Speak French.", "Go on"]
    assert request.dropped == ("messages.3.role",)


def test_a_conversation_begins_with_the_user_and_blank_text_is_left_out() -> None:
    found = sent(
        OPENAI_CHAT,
        {"messages": [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": " "}]},
    )
    assert found["messages"][0]["role"] == "user"
    assert found["messages"][1] == {"role": "assistant", "content": [{"text": "Hi"}]}
    assert len(found["messages"]) == 2


def test_tools_calls_and_results() -> None:
    long_id = "call_" + "x" * 100
    found = sent(
        OPENAI_CHAT,
        chat(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": long_id,
                        "type": "function",
                        "function": {
                            "name": "weather",
                            "arguments": '{"at": 1.50, "b": "\\u00e9"}',
                        },
                    },
                    {
                        "id": "c2",
                        "type": "function",
                        "function": {"name": "weather", "arguments": ""},
                    },
                ],
            },
            {"role": "tool", "tool_call_id": long_id, "content": "sunny"},
            {"role": "tool", "tool_call_id": "c2", "content": ""},
            {"role": "user", "content": "So?"},
            tools=[WEATHER],
            tool_choice="required",
        ),
    )
    assert found["toolConfig"]["toolChoice"] == {"any": {}}
    (tool,) = found["toolConfig"]["tools"]
    assert tool["toolSpec"]["inputSchema"] == {"json": WEATHER["function"]["parameters"]}  # type: ignore[index]
    calls = [each["toolUse"] for each in found["messages"][1]["content"]]
    assert calls[0]["input"] == {"at": 1.5, "b": "é"}
    assert calls[1]["input"] == {}
    results = [each["toolResult"] for each in found["messages"][2]["content"][:2]]
    assert [each["toolUseId"] for each in results] == [each["toolUseId"] for each in calls]
    assert results[0]["content"] == [{"text": "sunny"}]
    assert results[1]["content"] == [{"text": " "}]
    assert found["messages"][2]["content"][2] == {"text": "So?"}


def test_arguments_keep_their_bytes() -> None:
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": '{"n":1.50,"big":12345678901234567890.0}'},
    }
    request = translated(
        OPENAI_CHAT,
        chat(
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "x"},
        ),
    )
    assert b'"input":{"n":1.50,"big":12345678901234567890.0}' in request.inner.body


def test_tools_that_were_called_are_offered_still() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "gone", "arguments": "{}"}}
    found = sent(
        OPENAI_CHAT,
        chat(
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "x"},
        ),
    )
    assert [each["toolSpec"]["name"] for each in found["toolConfig"]["tools"]] == ["gone"]


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "weather"}}, {"tool": {"name": "weather"}}),
    ],
)
def test_choices(choice: Any, written: dict[str, Any]) -> None:
    found = sent(OPENAI_CHAT, chat(tools=[WEATHER], tool_choice=choice))
    assert found["toolConfig"]["toolChoice"] == written


def test_no_tool_at_all() -> None:
    assert "toolConfig" not in sent(OPENAI_CHAT, chat(tools=[WEATHER], tool_choice="none"))
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    asked = chat(
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
        tools=[WEATHER],
        tool_choice="none",
    )
    with pytest.raises(Untranslatable, match="tool_choice"):
        translated(OPENAI_CHAT, asked)


def test_only_one_call_at_a_time() -> None:
    found = sent(
        OPENAI_CHAT,
        chat(tools=[WEATHER], parallel_tool_calls=False),
        model_json=CLAUDE,
        reasoning="budget",
    )
    own = found["additionalModelRequestFields"]
    assert own["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_pictures_and_files() -> None:
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
        *(
            {
                "type": "file",
                "file": {
                    "filename": "a_b/ü.pdf",
                    "file_data": "data:application/pdf;base64,JVBERg==",
                },
            }
            for _ in range(2)
        ),
    ]
    found = sent(OPENAI_CHAT, {"messages": [{"role": "user", "content": parts}]})
    content = found["messages"][0]["content"]
    assert content[1] == {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}
    names = [each["document"]["name"] for each in content[2:]]
    assert names == ["a b", "a b-2"]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://h/i.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/bmp;base64,AAAA"}},
        {"type": "file", "file": {"file_id": "file_1"}},
    ],
)
def test_what_bedrock_does_not_take_is_refused_or_left_out(part: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, part]}]}
    with pytest.raises(Untranslatable, match="Bedrock takes"):
        translated(OPENAI_CHAT, body)
    request = translated(OPENAI_CHAT, body, drops=True)
    assert len(request.dropped) == 1
    assert validated(request.inner.body)["messages"][0]["content"] == [{"text": "x"}]


def test_results_with_pictures_and_errors() -> None:
    result = {
        "type": "tool_result",
        "tool_use_id": "t",
        "is_error": True,
        "content": [
            {"type": "text", "text": "no"},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"},
            },
        ],
    }
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    found = sent(
        ANTHROPIC_MESSAGES,
        {
            "max_tokens": 5,
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": [call]},
                {"role": "user", "content": [result]},
            ],
        },
    )
    written = found["messages"][2]["content"][0]["toolResult"]
    assert written["status"] == "error"
    assert [*written["content"][1]] == ["image"]


def test_thinking_goes_back_to_the_models_that_made_it() -> None:
    told = {
        "max_tokens": 5000,
        "messages": [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "thinking",
                        "thinking": "hm",
                        "signature": "~GATEWAY~STATE~1~:anthropic_messages:SIG",
                    },
                    {
                        "type": "redacted_thinking",
                        "data": "~GATEWAY~STATE~1~:bedrock_converse:QUJD",
                    },
                    {"type": "text", "text": "Ho"},
                ],
            },
            {"role": "user", "content": "So?"},
        ],
    }
    found = sent(ANTHROPIC_MESSAGES, told, model_json=CLAUDE)
    text = {"text": "hm", "signature": "SIG"}
    said = [{"reasoningContent": {"reasoningText": text}}, {"text": "Ho"}]
    assert found["messages"][1]["content"] == said
    other = sent(ANTHROPIC_MESSAGES, told, model_json=NOVA)
    said = [{"reasoningContent": {"redactedContent": "QUJD"}}, {"text": "Ho"}]
    assert other["messages"][1]["content"] == said


@pytest.mark.parametrize(
    ("model", "reasoning", "asked", "own"),
    [
        (
            CLAUDE,
            "budget",
            {"reasoning_effort": "low"},
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        ),
        (
            CLAUDE,
            "adaptive",
            {"reasoning_effort": "high"},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        (CLAUDE, "budget", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        (
            NOVA,
            "effort",
            {"reasoning_effort": "xhigh"},
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
        ),
        (NOVA, "effort", {"reasoning_effort": "none"}, {"reasoningConfig": {"type": "disabled"}}),
        (
            b'"openai.gpt-oss-120b-1:0"',
            "effort",
            {"reasoning_effort": "medium"},
            {"reasoning_effort": "medium"},
        ),
        (NOVA, "none", {"reasoning_effort": "low"}, None),
    ],
)
def test_reasoning(model: bytes, reasoning: str, asked: dict[str, Any], own: Any) -> None:
    found = sent(
        OPENAI_CHAT, chat(**asked), model_json=model, reasoning=reasoning, default_max_tokens=32000
    )
    assert found.get("additionalModelRequestFields") == own


def test_sampling_is_left_out_while_a_model_thinks() -> None:
    asked = chat(reasoning_effort="low", temperature=0.2, top_p=1)
    request = translated(OPENAI_CHAT, asked, model_json=CLAUDE, reasoning="budget")
    assert validated(request.inner.body)["inferenceConfig"].keys() == {"maxTokens"}
    assert request.dropped == ("temperature",)


def test_models_that_take_one_of_both() -> None:
    terms = ModelTerms(sampling="one")
    request = translated(OPENAI_CHAT, chat(temperature=0.2, top_p=0.5), terms=terms)
    assert validated(request.inner.body)["inferenceConfig"] == {"temperature": 0.2}
    assert request.dropped == ("top_p",)


def test_too_hot_is_refused() -> None:
    with pytest.raises(Untranslatable, match="temperature"):
        translated(OPENAI_CHAT, chat(temperature=1.5))


def test_structured_output() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "number", "minimum": 1.50}}}
    format_ = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    found = sent(OPENAI_CHAT, chat(response_format=format_))
    written = found["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert written["name"] == "it"
    assert json.loads(written["schema"]) == schema
    with pytest.raises(Untranslatable, match="response_format"):
        translated(OPENAI_CHAT, chat(response_format={"type": "json_object"}))


def test_marks_of_the_cache() -> None:
    cached = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    text = {"type": "text", "text": "long", **cached}
    tool = {"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}
    found = sent(
        ANTHROPIC_MESSAGES,
        {
            "max_tokens": 5,
            "system": [text],
            "tools": [tool],
            "messages": [{"role": "user", "content": [text]}],
        },
    )
    hour = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert found["system"] == [{"text": "long"}, hour]
    assert found["messages"][0]["content"] == [{"text": "long"}, hour]
    assert found["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}


def test_marks_for_callers_who_have_none() -> None:
    found = sent(
        OPENAI_CHAT,
        {
            "messages": [
                {"role": "system", "content": "S"},
                {"role": "user", "content": "1"},
                {"role": "assistant", "content": "2"},
                {"role": "user", "content": "3"},
            ],
            "tools": [WEATHER],
        },
        caches_prompts=True,
    )
    point = {"cachePoint": {"type": "default"}}
    assert found["system"][-1] == point
    assert found["toolConfig"]["tools"][-1] == point
    assert [each["content"][-1] == point for each in found["messages"]] == [True, False, True]


@pytest.mark.parametrize(
    "member",
    [
        {"presence_penalty": 1},
        {"frequency_penalty": 0.5},
        {"logprobs": True},
        {"logit_bias": {"1": 2}},
        {"n": 2},
    ],
)
def test_what_bedrock_has_not(member: dict[str, Any]) -> None:
    with pytest.raises(Untranslatable):
        translated(OPENAI_CHAT, chat(**member))
    dropped = translated(OPENAI_CHAT, chat(**member), drops=True)
    assert set(member) <= set(dropped.dropped)
    validated(dropped.inner.body)


def test_harmless_members_are_left_out_and_listed() -> None:
    asked = chat(user="u", seed=1, metadata={"a": "b"}, service_tier="flex")
    request = translated(OPENAI_CHAT, asked)
    assert set(request.dropped) == {"user", "seed", "metadata"}
    assert validated(request.inner.body)["serviceTier"] == {"type": "flex"}


def test_responses() -> None:
    found = sent(
        OPENAI_RESPONSES,
        {
            "instructions": "Be brief",
            "input": [
                {"role": "user", "content": "Hi"},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "ok"},
            ],
            "max_output_tokens": 9,
        },
    )
    assert found["system"] == [{"text": "Be brief"}]
    assert [each["role"] for each in found["messages"]] == ["user", "assistant", "user"]
    assert found["inferenceConfig"] == {"maxTokens": 9}
