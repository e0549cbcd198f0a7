"""Breakpoints of the prompt cache, set for callers of chat completions."""

from __future__ import annotations

import json
from typing import Any

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.translators import translate

from ...canonical.recipient import To

MARK = {"type": "ephemeral"}
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]
CALL = {"id": "1", "type": "function", "function": {"name": "a", "arguments": '{"x":1.50}'}}
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "One"},
    {"role": "assistant", "content": "Two", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "result"},
    {"role": "assistant", "content": "Three"},
    {"role": "user", "content": "Four"},
    {"role": "assistant", "content": "Five"},
    {"role": "user", "content": "Six"},
]


def sent(messages: list[dict[str, Any]], *, caches: bool = True, **more: Any) -> bytes:
    body = {"model": "m", "messages": messages, "tools": TOOLS} | more
    request = OPENAI_CHAT.read_request(json.dumps(body).encode())
    to = To(ANTHROPIC_MESSAGES, caches_prompts=caches)
    return translate(request, OPENAI_CHAT, to, 0.0).body_for(to)


def marks(value: Any, path: str = "") -> list[str]:
    """Return where in `value` there are breakpoints."""
    if isinstance(value, list):
        return [found for n, each in enumerate(value) for found in marks(each, f"{path}.{n}")]
    if not isinstance(value, dict):
        return []
    here = [path.strip(".")] if "cache_control" in value else []
    return here + [
        found
        for key, each in value.items()
        if key != "cache_control"
        for found in marks(each, f"{path}.{key}")
    ]


def test_four_at_most_at_the_ends_of_what_stays() -> None:
    body = json.loads(sent(TALK))
    assert marks(body) == ["system.0", "messages.4.content.0", "messages.6.content.0", "tools.1"]
    assert body["tools"][1]["cache_control"] == MARK


def test_without_the_setting_there_are_none() -> None:
    body = json.loads(sent(TALK, caches=False))
    assert marks(body) == []
    assert body["system"] == "Be kind."


def test_a_conversation_s_beginning_is_the_same_in_every_turn() -> None:
    """But for the marks, which move: what stands before them is found in the cache."""
    before: list[Any] = []
    for length in (2, 4, 6, 8):
        body = json.loads(sent(TALK[:length]))
        found = marks(body)
        assert len(found) <= 4
        assert found[-1] == "tools.1"
        # The message that the request before had its last mark at has one again.
        marked = [path for path in found if path.startswith("messages")]
        assert marked[-1].startswith(f"messages.{len(body['messages']) - 1}.")
        if before:
            assert f"messages.{len(before) - 1}.content.0" in marked
        for message in body["messages"]:
            for block in message["content"]:
                block.pop("cache_control", None)
        assert body["messages"][: len(before)] == before
        before = body["messages"]


def test_marks_take_no_byte_of_what_they_stand_in() -> None:
    plain = sent(TALK).replace(b',"cache_control":{"type":"ephemeral"}', b"")
    assert b'"input":{"x":1.50}' in plain
    assert b"cache_control" not in plain


def test_a_caller_with_marks_of_its_own_keeps_those_alone() -> None:
    part = {"type": "text", "text": "One", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    body = json.loads(sent([{"role": "user", "content": [part]}, *TALK[2:]]))
    assert marks(body) == ["messages.0.content.0"]


def test_little_has_few() -> None:
    body = json.loads(sent([{"role": "user", "content": "hi"}], tools=[]))
    assert marks(body) == ["messages.0.content.0"]
