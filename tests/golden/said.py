"""What an answer says, in no dialect's words: read from recordings by code of its own, and from
translations by the official SDKs' models, strictly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import ForeignRecipient
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.translators import TranslatedRequest, translate
from gateway.core.wire.sse import SseDecoder
from tests.late import accumulate_event, anthropic, message_event, openai, response_event

from ..core.dialects.canonical.recipient import To

STEPS: Final = re.compile(r"\[(\d+)\]|\.([^.\[]+)")


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
    add_blocks(said, done, usage)
    return said


def add_blocks(said: Said, blocks: Sequence[dict[str, Any]], usage: dict[str, Any]) -> None:
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
        chunk = openai.types.chat.ChatCompletionChunk.model_validate_json(
            event.data or b"", strict=True
        )
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


def said_in_message(message: anthropic.types.Message) -> Said:
    said = Said(reason=message.stop_reason or "")
    blocks = [block.to_dict() for block in message.content]
    add_blocks(said, [dict(block) for block in blocks], message.usage.to_dict())
    return said


def accumulated(output: bytes) -> anthropic.types.Message:
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in SseDecoder().feed(output):
        found = message_event().validate_json(event.data or b"", strict=True)
        assert event.name.decode() == found.type
        snapshot = accumulate_event(found, snapshot, buffers)
    assert isinstance(snapshot, anthropic.types.Message)
    assert snapshot.model == "mine"
    return snapshot


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


# OpenAI's Responses...


def said_by_responses(lines: Sequence[bytes]) -> Said:
    """Return what the last event of a stream says: the whole response."""
    last = json.loads(lines[-1])
    return said_by_response(last["response"], streamed=[json.loads(line) for line in lines])


def said_by_response(response: dict[str, Any], streamed: Sequence[dict[str, Any]] = ()) -> Said:
    said = Said()
    tools = json.dumps(response.get("tools") or [])
    whole = ""
    # xAI's own tools look like custom ones, which nobody has asked for by that name.
    for item in response["output"]:
        if item["type"] == "message":
            for part in item["content"]:
                whole += part.get("text", "")
                said.refusal += part.get("refusal", "")
        elif item["type"] == "reasoning":
            parts = item.get("summary") or item.get("content") or []
            said.thinking += "".join(part["text"] for part in parts)
        elif item["type"] == "function_call":
            said.calls.append((item["name"], arguments(item["arguments"])))
        elif item["type"] == "custom_tool_call" and f'"{item["name"]}"' in tools:
            said.calls.append((item["name"], item["input"]))
    # One recording has a word in its deltas that differs.
    deltas = [each["delta"] for each in streamed if each["type"] == "response.output_text.delta"]
    said.text = "".join(deltas) if deltas else whole
    if not said.thinking:
        said.thinking = "".join(
            each["delta"] for each in streamed if "reasoning" in each["type"] and "delta" in each
        )
    details = response.get("incomplete_details") or {}
    said.reason = details.get("reason") or ("calls" if said.calls else "completed")
    usage = response["usage"]
    cached = (usage.get("input_tokens_details") or {}).get("cached_tokens") or 0
    said.usage = (usage["input_tokens"], usage["output_tokens"], cached)
    return said


def last_response(output: bytes) -> openai.types.responses.Response:
    """Return the response that a stream ends with; all its events are as the SDK has them."""
    texts: dict[tuple[int, str], str] = {}
    final = None
    for number, event in enumerate(SseDecoder().feed(output)):
        assert final is None
        found = response_event().validate_json(event.data or b"", strict=True)
        assert event.name.decode() == found.type
        assert found.sequence_number == number
        if found.type.endswith(".delta"):
            key = (found.output_index, getattr(found, "content_index", ""))
            texts[key] = texts.get(key, "") + found.delta
        elif found.type in ("response.output_text.done", "response.reasoning_summary_text.done"):
            key = (found.output_index, getattr(found, "content_index", ""))
            assert texts.pop(key, "") == found.text
        elif found.type == "response.function_call_arguments.done":
            assert texts.pop((found.output_index, ""), "") == found.arguments
        elif found.type in ("response.completed", "response.incomplete"):
            final = found.response
    assert isinstance(final, openai.types.responses.Response)
    assert final.model == "mine"
    return final


def said_in_response(response: openai.types.responses.Response) -> Said:
    found: dict[str, Any] = response.to_dict()
    # What is shown as a call was one.
    named = [item for item in found["output"] if item["type"] == "custom_tool_call"]
    found["tools"] = [{"name": item["name"]} for item in named]
    return said_by_response(found)


# Gemini...


def said_by_gemini(lines: Sequence[bytes]) -> Said:
    """Return what the events of a stream say, or the one of a whole answer."""
    said, pieces = Said(), []
    for line in lines:
        event = json.loads(line)
        for candidate in event.get("candidates") or []:
            for part in (candidate.get("content") or {}).get("parts") or []:
                if part.get("thought"):
                    said.thinking += part["text"]
                elif "text" in part:
                    said.text += part["text"]
                elif "functionCall" in part:
                    pieces.append(part["functionCall"])
            said.reason = candidate.get("finishReason") or said.reason
            said.refusal = candidate.get("finishMessage", "") if said.reason == "SAFETY" else ""
        usage = event.get("usageMetadata") or {}
        if "candidatesTokenCount" in usage:
            output = usage["candidatesTokenCount"] + usage.get("thoughtsTokenCount", 0)
            cached = usage.get("cachedContentTokenCount", 0)
            said.usage = (usage["promptTokenCount"], output, cached)
    for piece in pieces:
        if "name" in piece:
            said.calls.append((piece["name"], piece.get("args", {})))
        for each in piece.get("partialArgs", []):
            put_argument(said.calls[-1][1], each)
    if said.calls and said.reason == "STOP":
        said.reason = "calls"
    return said


def put_argument(found: Any, piece: dict[str, Any]) -> None:
    """Put a piece of arguments where its path says: `$.a[0].b`."""
    steps = [int(n) if n else name for n, name in STEPS.findall(piece["jsonPath"])]
    for step, following in pairwise(steps):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(step, int):
            found += [empty] if step == len(found) else []
        else:
            found.setdefault(step, empty)
        found = found[step]
    value = piece.get("numberValue")
    if value is None:
        value = found.get(steps[-1], "") + piece["stringValue"]
    found[steps[-1]] = value


def said_in_gemini(output: bytes) -> Said:
    """Return what a stream says whose events are as google-genai has them, strictly."""
    # It takes a second to import, and is a namespace that mypy finds in some environments only.
    types = import_module("google.genai.types")
    lines = [event.data or b"" for event in SseDecoder().feed(output)]
    for line in lines:
        answer = types.GenerateContentResponse.model_validate_json(line)
        assert answer.model_version == "mine"
        for candidate in answer.candidates or []:
            assert candidate.content is not None
            assert candidate.content.parts
    return said_by_gemini(lines)
