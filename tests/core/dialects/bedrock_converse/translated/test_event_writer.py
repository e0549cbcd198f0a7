"""Streams of other dialects for callers who speak Converse, read by botocore."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.bedrock_converse.answer import assemble
from gateway.core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE, dialect_of_path
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.translators import TranslatedRequest, translate

from ....dialects.anthropic_messages.events import STOP, end, event, start
from ...canonical.recipient import To
from ..frames import read_by_botocore
from .test_event_reader import fed


def converse(provider: Dialect, *, stream: bool = True) -> TranslatedRequest:
    caller = dialect_of_path(f"/model/m/converse{'-stream' if stream else ''}")
    assert caller is not None
    request = caller.read_request(b'{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}')
    return translate(request, caller, To(provider), 1234.5)


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: %b\n\n" % json.dumps({"id": "c", "choices": [choice]}).encode()


CHAT: Final = (
    chunk({"role": "assistant", "reasoning_content": "I think"})
    + chunk({"content": "Hel"})
    + chunk({"content": "lo"})
    + chunk(
        {
            "tool_calls": [
                {"index": 0, "id": "functions.f:0", "function": {"name": "f", "arguments": '{"a":'}}
            ]
        }
    )
    + chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]})
    + chunk({}, "tool_calls")
    + b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}}\n\n'
    + b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_chat_in_converse(size: int) -> None:
    request = converse(OPENAI_CHAT)
    out = fed(request.start_stream(To(OPENAI_CHAT), b'"mine"', 1 << 20), CHAT, size)
    events = read_by_botocore(out)
    assert [next(iter(each)) for each in events][:2] == ["messageStart", "contentBlockDelta"]
    answer = json.loads(assemble(out).body)
    thinking, said, called = answer["output"]["message"]["content"]
    assert thinking["reasoningContent"]["reasoningText"]["text"] == "I think"
    assert said == {"text": "Hello"}
    assert called["toolUse"]["name"] == "f"
    assert called["toolUse"]["input"] == {"a": 1}
    # Kimi's ids have letters that Bedrock's may not; they come back as they were.
    assert called["toolUse"]["toolUseId"].startswith("gwid_")
    assert answer["stopReason"] == "tool_use"
    assert answer["usage"] == {"inputTokens": 5, "outputTokens": 6, "totalTokens": 11}


def test_messages_in_converse() -> None:
    redacted = {"type": "redacted_thinking", "data": "SECRET"}
    stream = b"".join(
        [
            start(),
            event("content_block_start", index=0, content_block=redacted),
            event("content_block_stop", index=0),
            event("content_block_start", index=1, content_block={"type": "text", "text": ""}),
            event("content_block_delta", index=1, delta={"type": "text_delta", "text": "Hi"}),
            event("content_block_stop", index=1),
            end(),
            STOP,
        ]
    )
    request = converse(ANTHROPIC_MESSAGES)
    out = fed(request.start_stream(To(ANTHROPIC_MESSAGES), b'"mine"', 1 << 20), stream)
    content = json.loads(assemble(out).body)["output"]["message"]["content"]
    assert content[1] == {"text": "Hi"}
    # What is sent back is restored to the byte for its provider, and left out for another.
    told = {
        "messages": [
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "assistant", "content": content},
            {"role": "user", "content": [{"text": "So?"}]},
        ]
    }
    caller = dialect_of_path("/model/m/converse")
    assert caller is not None
    again = caller.read_request(json.dumps(told).encode())
    restored = translate(again, caller, To(ANTHROPIC_MESSAGES), 1.5)
    blocks = json.loads(restored.inner.body)["messages"][1]["content"]
    assert blocks[0] == redacted
    elsewhere = json.loads(again.body_for(To(BEDROCK_CONVERSE)))
    assert elsewhere["messages"][1]["content"] == [{"text": "Hi"}]
    assert again.body_for(To(BEDROCK_CONVERSE)).count(b"GATEWAY") == 0
