"""Recordings of real providers in the other dialect: valid for its SDK, and saying the same.

What they say is read from the recordings by code of its own, and from the translations by the
official SDKs' models, strictly. Skipped where the recordings are not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import ForeignRecipient
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.translators import TranslatedRequest, translate
from gateway.core.wire.sse import SseDecoder

from ..core.dialects.canonical.recipient import To
from .test_messages import messages_of, stream_of
from .test_recordings import FOLDER, recordings

EVENTS: Final[TypeAdapter[Any]] = TypeAdapter(RawMessageStreamEvent)


@dataclass
class Said:
    """What an answer says, in no dialect's words."""

    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    reason: str = ""
    usage: tuple[int, int, int] = (0, 0, 0)


def arguments(text: str) -> Any:
    return json.loads(text or "{}")


# What the recordings say...


def said_by_messages(lines: Sequence[bytes]) -> Said:
    said = Said()
    usage: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    done: list[dict[str, Any]] = []
    for line in lines:
        event = json.loads(line)
        kind = event["type"]
        if kind == "message_start":
            usage |= {k: v for k, v in event["message"]["usage"].items() if v}
            done += [each | {"json": ""} for each in event["message"]["content"]]
            said.reason = event["message"]["stop_reason"] or said.reason
        elif kind == "content_block_start":
            blocks[event["index"]] = event["content_block"] | {"json": ""}
        elif kind == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            block["text"] = block.get("text", "") + delta.get("text", "")
            block["thinking"] = block.get("thinking", "") + delta.get("thinking", "")
            block["json"] += delta.get("partial_json", "")
        elif kind == "content_block_stop":
            done.append(blocks.pop(event["index"]))
        elif kind == "message_delta":
            usage |= {k: v for k, v in event["usage"].items() if v}
            said.reason = event["delta"]["stop_reason"] or said.reason
            details = event["delta"].get("stop_details") or {}
            said.refusal = details.get("explanation") or ""
    _add_blocks(said, done, usage)
    return said


def _add_blocks(said: Said, blocks: Sequence[dict[str, Any]], usage: dict[str, Any]) -> None:
    for block in blocks:
        if block["type"] == "text":
            said.text += block["text"]
        elif block["type"] == "thinking":
            said.thinking += block["thinking"]
        elif block["type"] == "tool_use":
            given = arguments(block["json"]) if block.get("json") else block["input"]
            said.calls.append((block["name"], given))
    cached = usage.get("cache_read_input_tokens") or 0
    prompt = usage.get("input_tokens", 0) + cached + (usage.get("cache_creation_input_tokens") or 0)
    said.usage = (prompt, usage.get("output_tokens", 0), cached)


CHAT_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
MESSAGE_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


# What the translations say...


def chat_request(*, stream: bool) -> TranslatedRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    request = OPENAI_CHAT.read_request(json.dumps(body).encode())
    return translate(request, OPENAI_CHAT, To(ANTHROPIC_MESSAGES), 1234.5)


def message_request(*, stream: bool) -> TranslatedRequest:
    messages = [{"role": "user", "content": "Hi"}]
    body = {"model": "m", "messages": messages, "max_tokens": 64, "stream": stream}
    request = ANTHROPIC_MESSAGES.read_request(json.dumps(body).encode())
    return translate(request, ANTHROPIC_MESSAGES, To(OPENAI_CHAT), 1234.5)


def streamed(
    request: TranslatedRequest, recipient: ForeignRecipient, stream: bytes, size: int
) -> bytes:
    rewriter = request.start_stream(recipient, b'"mine"', 1 << 24)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    output = b"".join([rewriter.feed(piece) for piece in pieces]) + rewriter.end()
    assert (rewriter.error, rewriter.broken, rewriter.malformed) == (None, None, 0)
    assert rewriter.done
    assert rewriter.meaningful
    return output + rewriter.finish()


def said_in_chat(output: bytes) -> Said:
    said = Said()
    calls: dict[int, list[str]] = {}
    assert output.endswith(b"data: [DONE]\n\n")
    for event in SseDecoder().feed(output.removesuffix(b"data: [DONE]\n\n")):
        chunk = ChatCompletionChunk.model_validate_json(event.data or b"", strict=True)
        assert chunk.model == "mine"
        if chunk.usage is not None:
            details = chunk.usage.prompt_tokens_details
            cached = (details.cached_tokens or 0) if details else 0
            said.usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens, cached)
        for choice in chunk.choices:
            said.text += choice.delta.content or ""
            said.thinking += getattr(choice.delta, "reasoning_content", None) or ""
            said.refusal += choice.delta.refusal or ""
            said.reason = choice.finish_reason or said.reason
            for call in choice.delta.tool_calls or []:
                found = calls.setdefault(call.index, ["", ""])
                assert call.function is not None
                found[0] += call.function.name or ""
                found[1] += call.function.arguments or ""
    said.calls = [(name, arguments(text)) for name, text in calls.values()]
    return said


def said_in_message(message: Message) -> Said:
    said = Said(reason=message.stop_reason or "")
    blocks = [block.to_dict() for block in message.content]
    _add_blocks(said, [dict(block) for block in blocks], message.usage.to_dict())
    return said


def accumulated(output: bytes) -> Message:
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in SseDecoder().feed(output):
        found = EVENTS.validate_json(event.data or b"", strict=True)
        assert event.name.decode() == found.type
        snapshot = accumulate_event(event=found, current_snapshot=snapshot, json_bufs=buffers)
    assert isinstance(snapshot, Message)
    assert snapshot.model == "mine"
    return snapshot


@pytest.mark.parametrize(
    "path", sorted((FOLDER / "anthropic").glob("*.chunks.txt")), ids=lambda path: path.name
)
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_messages_for_a_caller_of_chat(path: Path, size: int) -> None:
    for lines in messages_of(path):
        expected = said_by_messages(lines)
        request = chat_request(stream=True)
        output = streamed(request, To(ANTHROPIC_MESSAGES), stream_of(lines), size)
        found = said_in_chat(output)
        expected.reason = CHAT_REASONS[expected.reason]
        assert found == expected


@pytest.mark.parametrize(
    "path", sorted((FOLDER / "anthropic").glob("*.json")), ids=lambda path: path.name
)
def test_whole_messages_for_a_caller_of_chat(path: Path) -> None:
    given = json.loads(path.read_bytes())
    expected = Said(reason=CHAT_REASONS[given["stop_reason"]])
    expected.refusal = (given.get("stop_details") or {}).get("explanation") or ""
    _add_blocks(expected, given["content"], given["usage"])
    request = chat_request(stream=False)
    answer = request.rewrite_answer(To(ANTHROPIC_MESSAGES), b'"mine"', path.read_bytes())
    completion = ChatCompletion.model_validate_json(answer.body, strict=True)
    choice = completion.choices[0]
    usage = completion.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    found = Said(
        text=choice.message.content or "",
        thinking=getattr(choice.message, "reasoning_content", None) or "",
        refusal=choice.message.refusal or "",
        calls=[
            (call.function.name, arguments(call.function.arguments))
            for call in choice.message.tool_calls or []
            if call.type == "function"
        ],
        reason=choice.finish_reason,
        usage=(
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.prompt_tokens_details.cached_tokens or 0,
        ),
    )
    assert found == expected
    assert completion.model == "mine"


def said_by_chat(lines: Sequence[bytes]) -> Said:
    said = Said()
    calls: dict[int, list[str]] = {}
    for line in lines:
        chunk = json.loads(line)
        for choice in chunk.get("choices") or []:
            delta = choice.get("delta") or {}
            content = delta.get("content") or ""
            if isinstance(content, list):
                content = "".join(part.get("text", "") for part in content)
            said.text += content
            said.thinking += delta.get("reasoning_content") or delta.get("reasoning") or ""
            said.reason = choice.get("finish_reason") or said.reason
            for call in delta.get("tool_calls") or []:
                found = calls.setdefault(call["index"], ["", ""])
                found[0] += call["function"].get("name") or ""
                found[1] += call["function"].get("arguments") or ""
    said.calls = [(name, arguments(text)) for name, text in calls.values()]
    return said


@pytest.mark.parametrize("path", recordings("*.chunks.txt"), ids=lambda path: path.name)
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_chats_for_a_caller_of_messages(path: Path, size: int) -> None:
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    stream = b"".join(b"data: %b\n\n" % line for line in lines) + b"data: [DONE]\n\n"
    request = message_request(stream=True)
    # Usage is what the relay within chat has read, which has tests of its own.
    same = OPENAI_CHAT.read_request(request.inner.body).start_stream(
        To(OPENAI_CHAT), b'"m"', 1 << 24
    )
    same.feed(stream)
    usage = same.usage
    assert usage is not None
    found = said_in_message(accumulated(streamed(request, To(OPENAI_CHAT), stream, size)))
    expected = said_by_chat(lines)
    expected.reason = MESSAGE_REASONS[expected.reason]
    expected.usage = (usage.input_tokens, usage.output_tokens, usage.cached_tokens)
    assert found == expected


@pytest.mark.parametrize("path", recordings("*.json"), ids=lambda path: path.name)
def test_whole_chats_for_a_caller_of_messages(path: Path) -> None:
    given = json.loads(path.read_bytes())
    if "choices" not in given:
        pytest.skip("not an answer")
    request = message_request(stream=False)
    answer = request.rewrite_answer(To(OPENAI_CHAT), b'"mine"', path.read_bytes())
    message = Message.model_validate_json(answer.body, strict=True)
    found = said_in_message(message)
    choice = given["choices"][0]
    said = choice["message"]
    expected = Said(
        text=said.get("content") or "",
        thinking=said.get("reasoning_content") or said.get("reasoning") or "",
        calls=[
            (call["function"]["name"], arguments(call["function"]["arguments"]))
            for call in said.get("tool_calls") or []
        ],
        reason=MESSAGE_REASONS[choice["finish_reason"]],
    )
    assert answer.usage is not None
    usage = answer.usage
    expected.usage = (usage.input_tokens, usage.output_tokens, usage.cached_tokens)
    assert found == expected
