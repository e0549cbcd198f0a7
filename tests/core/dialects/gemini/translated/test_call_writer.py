from __future__ import annotations

from typing import Any

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.canonical.fidelity import Untranslatable
from gateway.core.dialects.model_terms import ModelTerms
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES

from .asking import sent, to_gemini

USER = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object", "properties": {"n": {"type": "number"}}}


def chat(body: dict[str, Any], **to: Any) -> dict[str, Any]:
    return sent(to_gemini({"messages": [USER]} | body, OPENAI_CHAT, **to))


def test_a_conversation() -> None:
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate([("f", '{"n":1.50}'), ("g", "oops")])
    ]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Always."},
        {"role": "user", "content": [{"type": "text", "text": "See"}, image("https://h/a.png")]},
        {"role": "assistant", "content": "Wait", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c0", "content": "plain"},
        {"role": "tool", "tool_call_id": "c1", "content": '{"a": 1.50}'},
        {"role": "user", "content": [image("data:image/png;base64,AAAA")]},
    ]
    request = to_gemini({"messages": messages}, OPENAI_CHAT)
    found = sent(request)
    assert found["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Always."}]}
    user, model, results = found["contents"]
    media = {"fileUri": "https://h/a.png", "mimeType": "image/png"}
    assert user == {"role": "user", "parts": [{"text": "See"}, {"fileData": media}]}
    assert model["parts"] == [
        {"text": "Wait"},
        {"functionCall": {"id": "c0", "name": "f", "args": {"n": 1.5}}},
        {"functionCall": {"id": "c1", "name": "g", "args": {"INVALID_JSON": "oops"}}},
    ]
    assert results["parts"] == [
        {"functionResponse": {"name": "f", "response": {"output": "plain"}, "id": "c0"}},
        {"functionResponse": {"name": "g", "response": {"a": 1.5}, "id": "c1"}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
    ]
    assert b'"args":{"n":1.50}' in request.inner.body
    assert b'"response":{"a": 1.50}' in request.inner.body


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def test_a_failed_call_and_its_picture() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    result = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "is_error": True,
        "content": [{"type": "text", "text": "no"}, {"type": "image", "source": source}],
    }
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    messages = [
        USER,
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    found = sent(to_gemini({"messages": messages, "max_tokens": 9}, ANTHROPIC_MESSAGES))
    response, picture = found["contents"][2]["parts"]
    assert response["functionResponse"]["response"] == {"error": "no"}
    assert picture == {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}


def tools(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": n, "parameters": SCHEMA}} for n in names]


@pytest.mark.parametrize(
    ("choice", "expected", "shown"),
    [
        ("auto", {"mode": "AUTO"}, "ab"),
        ("none", {"mode": "NONE"}, "ab"),
        ("required", {"mode": "ANY"}, "ab"),
        (
            {"type": "function", "function": {"name": "b"}},
            {"mode": "ANY", "allowedFunctionNames": ["b"]},
            "ab",
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "a"}}],
                },
            },
            {"mode": "AUTO"},
            "a",
        ),
    ],
)
def test_which_tool_is_called(choice: Any, expected: dict[str, Any], shown: str) -> None:
    found = chat({"tools": tools("a", "b"), "tool_choice": choice})
    assert found["toolConfig"] == {"functionCallingConfig": expected}
    [tool] = found["tools"]
    declared = tool["functionDeclarations"]
    assert [each["name"] for each in declared] == list(shown)
    assert declared[0]["parametersJsonSchema"] == SCHEMA


def test_web_search_is_google_s_own() -> None:
    body = {"input": "a", "tools": [{"type": "web_search", "search_context_size": "high"}]}
    request = to_gemini(body, OPENAI_RESPONSES, terms=ModelTerms(searches=True))
    assert sent(request)["tools"] == [{"googleSearch": {}}]
    assert request.dropped
    forced = body | {"tool_choice": {"type": "web_search"}}
    with pytest.raises(Untranslatable):
        to_gemini(forced, OPENAI_RESPONSES, terms=ModelTerms(searches=True))
    assert "tools" not in sent(to_gemini(body, OPENAI_RESPONSES))


@pytest.mark.parametrize(
    ("form", "effort", "expected"),
    [
        ("budget", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("budget", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        ("budget", "none", {"thinkingBudget": 0}),
        ("effort", "low", {"thinkingLevel": "low", "includeThoughts": True}),
        ("effort", "xhigh", {"thinkingLevel": "high", "includeThoughts": True}),
        ("effort", "none", {"thinkingLevel": "low"}),
        ("none", "high", None),
    ],
)
def test_reasoning(form: Any, effort: str, expected: Any) -> None:
    found = chat({"reasoning_effort": effort}, reasoning=form)
    assert found.get("generationConfig", {}).get("thinkingConfig") == expected


def test_a_budget_of_thinking() -> None:
    body = {"messages": [USER], "max_tokens": 9000}
    body |= {"thinking": {"type": "enabled", "budget_tokens": 5000}}
    budget = sent(to_gemini(body, ANTHROPIC_MESSAGES, reasoning="budget"))
    level = sent(to_gemini(body, ANTHROPIC_MESSAGES, reasoning="effort"))
    assert budget["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 5000
    assert level["generationConfig"]["thinkingConfig"]["thinkingLevel"] == "medium"
    adaptive = body | {"thinking": {"type": "adaptive"}}
    found = sent(to_gemini(adaptive, ANTHROPIC_MESSAGES, reasoning="budget"))
    assert found["generationConfig"]["thinkingConfig"]["thinkingBudget"] == -1


def test_sampling_and_format() -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    found = chat(
        {
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 7,
            "stop": ["END"],
            "max_tokens": 99,
            "presence_penalty": 0.1,
            "response_format": format_,
        },
        max_output_tokens=50,
    )
    assert found["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "seed": 7,
        "stopSequences": ["END"],
        "presencePenalty": 0.1,
        "maxOutputTokens": 50,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    plain = chat({"response_format": {"type": "json_object"}})
    assert plain["generationConfig"] == {"responseMimeType": "application/json"}


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]}
                ]
            },
            "messages.0 (file)",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_name(body: dict[str, Any], member: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        to_gemini({"messages": [USER]} | body, OPENAI_CHAT)
    assert caught.value.member == member


def test_more_stop_sequences_than_google_takes() -> None:
    request = to_gemini({"messages": [USER], "stop": list("abcdefg")}, OPENAI_CHAT)
    assert sent(request)["generationConfig"]["stopSequences"] == list("abcde")
    # The gateway looks for the others itself.
    assert request.stops == ["f", "g"]
    assert request.dropped == ()


def test_what_is_harmless_is_left_out_and_listed() -> None:
    body = {
        "messages": [USER, {"role": "system", "content": "B"}, USER],
        "parallel_tool_calls": False,
        "tools": tools("a"),
        "user": "u",
        "prompt_cache_key": "k",
        "service_tier": "flex",
    }
    request = to_gemini(body, OPENAI_CHAT)
    assert set(request.dropped) == {
        *("parallel_tool_calls", "user", "prompt_cache_key", "service_tier", "messages.1.role"),
    }
    assert [each["parts"][0]["text"] for each in sent(request)["contents"]] == ["Hi", "B", "Hi"]


def test_instructions_alone_become_a_content() -> None:
    found = chat({"messages": [{"role": "system", "content": "A"}]})
    assert found == {"contents": [{"role": "user", "parts": [{"text": "A"}]}]}
