"""State that belongs to its provider survives a hop, whichever two dialects it crosses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.canonical.call import Thinking
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.core.dialects.gemini.state.carried_state import carried, is_carried, released
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES

from ...canonical.recipient import To
from ..events import call, chunk, text
from ..translated.asking import from_gemini, sent, to_gemini, whole

THOUGHTS = [Thinking("Hm.\n", "anthropic_messages", "c2ln"), Thinking("", "x/y", "{}", True)]


def test_what_is_carried_is_released() -> None:
    signature = carried(THOUGHTS)
    assert is_carried(signature)
    assert released(signature) == THOUGHTS
    # In the alphabet of Google's SDK for Python, and without its padding.
    other = signature.replace("+", "-").replace("/", "_").rstrip("=")
    assert is_carried(other)
    assert released(other) == THOUGHTS
    assert not is_carried("EvsFCvgFAb4+9vtg")
    assert released(signature[:-9] + "!!!") == []


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "real",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk+/="},
        {"type": "redacted_thinking", "data": "cmVk"},
        {"type": "text", "text": "Wait"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 1}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2},
}
ASKED = {"role": "user", "parts": [{"text": "a"}]}
RESULT = {
    "role": "user",
    "parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}}}],
}


@pytest.mark.parametrize("thoughts_are_kept", [True, False])
def test_messages_state_comes_back_through_gemini(thoughts_are_kept: bool) -> None:
    request = from_gemini({"contents": [ASKED]}, ANTHROPIC_MESSAGES, reasoning="budget")
    parts = whole(request, MESSAGE)["candidates"][0]["content"]["parts"]
    assert [part.get("thought", False) for part in parts] == [True, False, False, False]
    if not thoughts_are_kept:
        # As Gemini CLI replays it.
        parts = [part for part in parts if not part.get("thought") and part.get("text") != ""]
    contents = [ASKED, {"role": "model", "parts": parts}, RESULT]
    again = from_gemini({"contents": contents}, ANTHROPIC_MESSAGES, reasoning="budget")
    assert again.dropped == ()
    said = json.loads(again.inner.body)["messages"][1]
    assert said["content"] == MESSAGE["content"]
    # Another provider gets none of it, and that is listed.
    elsewhere = from_gemini({"contents": contents}, OPENAI_CHAT)
    assert b"c2lnbmVk" not in elsewhere.inner.body
    assert elsewhere.dropped == ("contents.1 (thinking)",)
    # Nor do Google's own models.
    body = json.dumps({"model": "m", "contents": contents}).encode()
    home = json.loads(GEMINI.read_request(body).body_for(To(GEMINI)))
    assert "thoughtSignature" not in json.dumps(home)
    texts = [part["text"] for part in home["contents"][1]["parts"] if "text" in part]
    assert [text_ for text_ in texts if text_][-1] == "Wait"


SIGNED = "EvsFCvgFAb4+9vtg/YAdOcx="


def answers() -> list[dict[str, Any]]:
    """Return answers of Google's, each with a signature at another kind of part."""
    thought = text("Hm.", thought=True)
    signed = {"thoughtSignature": SIGNED}
    return [
        chunk(thought, call("f", args={"n": 1}) | signed, call("f", args={}), reason="STOP"),
        chunk(text("Hi", **signed), reason="STOP"),
        chunk(text("Hi"), text("", **signed), reason="STOP"),
        chunk(text("Hm.", thought=True, **signed), text("Hi"), reason="STOP"),
        chunk(call("f", args={}), call("g", args={}) | signed, reason="STOP"),
    ]


def replayed(source: Dialect, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the request that goes on from an answer, as clients of `source` make it."""
    if source is OPENAI_CHAT:
        message = answer["choices"][0]["message"]
        calls = message.get("tool_calls") or []
        results = [{"role": "tool", "tool_call_id": c["id"], "content": "x"} for c in calls]
        return {"messages": [{"role": "user", "content": "a"}, message, *results]}
    if source is ANTHROPIC_MESSAGES:
        content = answer["content"]
        uses = [each for each in content if each["type"] == "tool_use"]
        made = [{"type": "tool_result", "tool_use_id": c["id"], "content": "x"} for c in uses]
        end = [{"role": "user", "content": made}] if made else []
        said = {"role": "assistant", "content": content}
        return {"max_tokens": 9, "messages": [{"role": "user", "content": "a"}, said, *end]}
    calls = [each for each in answer["output"] if each["type"] == "function_call"]
    outputs = [
        {"type": "function_call_output", "call_id": each["call_id"], "output": "x"}
        for each in calls
    ]
    begin = {"role": "user", "content": "a"}
    return {"store": False, "input": [begin, *answer["output"], *outputs]}


FIRST: dict[str, dict[str, Any]] = {
    OPENAI_CHAT.name: {"messages": [{"role": "user", "content": "a"}]},
    ANTHROPIC_MESSAGES.name: {"max_tokens": 9, "messages": [{"role": "user", "content": "a"}]},
    OPENAI_RESPONSES.name: {"input": "a", "store": False},
}


@pytest.mark.parametrize("source", [OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES])
def test_google_s_state_comes_back_through_others(source: Dialect) -> None:
    for answer in answers():
        asked = to_gemini(FIRST[source.name], source, reasoning="effort")
        told = whole(asked, answer)
        again = to_gemini(replayed(source, told), source, reasoning="effort")
        assert not [each for each in again.dropped if "thinking" in each]
        contents = sent(again)["contents"]
        [said] = [each for each in contents if each["role"] == "model"]
        parts = answer["candidates"][0]["content"]["parts"]
        # Made-up ids are left out again; a signature is at the very part that it was at.
        assert said["parts"] == parts, source.name
        for content in contents[contents.index(said) + 1 :]:
            for part in content["parts"]:
                assert set(part["functionResponse"]) == {"name", "response"}


def test_calls_of_other_models_are_excused_where_signatures_are_wanted() -> None:
    answer = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            for n in range(2)
        ],
    }
    results = [{"role": "tool", "tool_call_id": f"c{n}", "content": "x"} for n in range(2)]
    body = {"messages": [{"role": "user", "content": "a"}, answer, *results]}
    for model, signed in ((b'"gemini-3-pro"', [True, False]), (b'"gemini-2.5-pro"', [False] * 2)):
        contents = sent(to_gemini(body, OPENAI_CHAT, model_json=model))["contents"]
        assert ["thoughtSignature" in part for part in contents[1]["parts"]] == signed
        assert [each["functionCall"]["id"] for each in contents[1]["parts"]] == ["c0", "c1"]
        assert len(contents[2]["parts"]) == 2
