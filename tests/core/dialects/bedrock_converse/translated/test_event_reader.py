"""Streams between Converse and the other dialects, both ways, read by their own SDKs."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect, StreamRewriter
from gateway.core.dialects.bedrock_converse.answer import as_stream, assemble
from gateway.core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import TranslatedRequest, translate
from gateway.core.records.usage import Usage

from .....golden.said import (
    Said,
    accumulated,
    last_response,
    said_in_chat,
    said_in_message,
    said_in_response,
)
from ...canonical.recipient import To
from ..frames import STARTED, ended, stopped, stream_of, text

# The SDKs' models read what is said.
pytestmark = pytest.mark.slow

CALLERS: Final = (OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES)
REASONS: Final = {
    "end_turn": ("stop", "end_turn", "completed"),
    "max_tokens": ("length", "max_tokens", "max_output_tokens"),
    "tool_use": ("tool_calls", "tool_use", "calls"),
    "content_filtered": ("content_filter", "refusal", "content_filter"),
    "guardrail_intervened": ("content_filter", "refusal", "content_filter"),
    "something_new": ("stop", "end_turn", "completed"),
}


def ask(caller: Dialect, *, stream: bool = True) -> TranslatedRequest:
    body: dict[str, Any] = {"model": "m", "stream": stream}
    if caller is OPENAI_RESPONSES:
        body["input"] = "Hi"
    else:
        body |= {"messages": [{"role": "user", "content": "Hi"}]}
    if caller is ANTHROPIC_MESSAGES:
        body["max_tokens"] = 9
    if caller is OPENAI_CHAT and stream:
        body["stream_options"] = {"include_usage": True}
    request = caller.read_request(json.dumps(body).encode())
    return translate(request, caller, To(BEDROCK_CONVERSE), 1234.5)


def fed(rewriter: StreamRewriter, stream: bytes, size: int = 1 << 20) -> bytes:
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    out = b"".join([rewriter.feed(piece) for piece in pieces]) + rewriter.end()
    assert (rewriter.error, rewriter.broken) == (None, None)
    assert rewriter.done
    return out + rewriter.finish()


def said_to(caller: Dialect, output: bytes) -> Said:
    if caller is OPENAI_CHAT:
        return said_in_chat(output)
    if caller is ANTHROPIC_MESSAGES:
        return said_in_message(accumulated(output))
    return said_in_response(last_response(output))


def call(index: int, id: str, name: str, *pieces: str) -> list[dict[str, Any]]:
    tool = {"toolUse": {"toolUseId": id, "name": name}}
    return [
        {"contentBlockStart": {"contentBlockIndex": index, "start": tool}},
        *(
            {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"toolUse": {"input": p}}}}
            for p in pieces
        ),
        stopped(index),
    ]


def thought(index: int, **piece: str) -> dict[str, Any]:
    delta = {"reasoningContent": piece}
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": delta}}


FULL: Final = stream_of(
    STARTED,
    thought(0, text="I "),
    thought(0, text="think"),
    thought(0, signature="SIG"),
    stopped(0),
    text("Hel", 1),
    text("lo ü", 1),
    stopped(1),
    *call(2, "t1", "f", '{"a":', " 1.50}"),
    *call(3, "t2", "g"),
    *ended(
        "tool_use",
        {
            "inputTokens": 3,
            "outputTokens": 9,
            "totalTokens": 112,
            "cacheReadInputTokens": 100,
            "cacheWriteInputTokens": 0,
        },
    ),
)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("caller", CALLERS, ids=lambda each: each.name)
def test_everything_is_said(caller: Dialect, size: int) -> None:
    request = ask(caller)
    out = fed(request.start_stream(To(BEDROCK_CONVERSE), b'"mine"', 1 << 20), FULL, size)
    said = said_to(caller, out)
    assert said.text == "Hello ü"
    assert said.thinking == "I think"
    assert said.calls == [("f", {"a": 1.5}), ("g", {})]
    assert said.usage == (103, 9, 100)
    assert said.reason == REASONS["tool_use"][CALLERS.index(caller)]


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda each: each.name)
def test_reasons(caller: Dialect, reason: str) -> None:
    events = call(0, "t", "f", "{}") if reason == "tool_use" else [text("x"), stopped()]
    stream = stream_of(STARTED, *events, *ended(reason))
    out = fed(ask(caller).start_stream(To(BEDROCK_CONVERSE), b'"mine"', 1 << 20), stream)
    assert said_to(caller, out).reason == REASONS[reason][CALLERS.index(caller)]


def test_a_signature_comes_back_tagged_and_goes_on_without() -> None:
    out = fed(ask(ANTHROPIC_MESSAGES).start_stream(To(BEDROCK_CONVERSE), b'"mine"', 1 << 20), FULL)
    thinking = accumulated(out).content[0]
    assert thinking.type == "thinking"
    assert thinking.signature == "~GATEWAY~STATE~1~:bedrock_converse:SIG"


def test_what_the_providers_servers_did_is_no_call() -> None:
    tool = {"toolUse": {"toolUseId": "s", "name": "web", "type": "server_tool_use"}}
    stream = stream_of(
        STARTED,
        {"contentBlockStart": {"contentBlockIndex": 0, "start": tool}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}}},
        stopped(0),
        {
            "contentBlockStart": {
                "contentBlockIndex": 1,
                "start": {"toolResult": {"toolUseId": "s", "type": "x"}},
            }
        },
        {
            "contentBlockDelta": {
                "contentBlockIndex": 1,
                "delta": {"toolResult": [{"text": "found"}]},
            }
        },
        stopped(1),
        text("So", 2),
        stopped(2),
        *ended(),
    )
    out = fed(ask(OPENAI_CHAT).start_stream(To(BEDROCK_CONVERSE), b'"mine"', 1 << 20), stream)
    said = said_in_chat(out)
    assert (said.text, said.calls, said.reason) == ("So", [], "stop")


@pytest.mark.parametrize("caller", CALLERS, ids=lambda each: each.name)
def test_whole_answers_say_the_same(caller: Dialect) -> None:
    whole = assemble(FULL)
    assert whole.usage == Usage(input_tokens=103, output_tokens=9, cached_tokens=100)
    assert fed(
        BEDROCK_CONVERSE.read_request(b'{"modelId":"m"}').start_stream(
            To(BEDROCK_CONVERSE), b"", 1 << 20
        ),
        as_stream(whole.body),
    )
    answer = ask(caller, stream=False).rewrite_answer(To(BEDROCK_CONVERSE), b'"mine"', whole.body)
    found = json.loads(answer.body)
    assert found["model"] == "mine"
    assert "Hello ü" in json.dumps(found, ensure_ascii=False)
    assert answer.usage == whole.usage


def test_an_exception_is_told_in_the_callers_words() -> None:
    from gateway.core.dialects.bedrock_converse.frames import exception_frame

    rewriter = ask(OPENAI_CHAT).start_stream(To(BEDROCK_CONVERSE), b'"mine"', 1 << 20)
    rewriter.feed(stream_of(STARTED, text("x")))
    rewriter.feed(exception_frame("throttlingException", b'{"message":"slow down"}'))
    assert rewriter.foreign_error == ("slow down", "rate_limit_exceeded")
