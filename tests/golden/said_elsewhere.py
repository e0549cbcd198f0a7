"""What answers of Bedrock, Cohere and Ollama say, read by code of its own.

What is valid of Bedrock's is botocore's word; Cohere's and Ollama's SDKs read it in
`tests/clients`, with all that they need.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from gateway.core.wire.sse import SseDecoder

from ..core.dialects.bedrock_converse.frames import decoded, read_by_botocore
from .said import Said, arguments

COHERE_EVENTS: Final = (
    *("message-start", "content-start", "content-delta", "content-end", "tool-plan-delta"),
    *("tool-call-start", "tool-call-delta", "tool-call-end", "citation-start", "citation-end"),
    "message-end",
)


# Bedrock...


def said_by_converse(events: Sequence[dict[str, Any]]) -> Said:
    said = Said()
    calls: dict[int, list[str]] = {}
    for event in events:
        [(kind, body)] = event.items()
        if kind == "contentBlockStart":
            if (call := body["start"].get("toolUse")) is not None:
                calls[body["contentBlockIndex"]] = [call["name"], ""]
        elif kind == "contentBlockDelta":
            delta = body["delta"]
            said.text += delta.get("text", "")
            said.thinking += (delta.get("reasoningContent") or {}).get("text") or ""
            if "toolUse" in delta:
                calls[body["contentBlockIndex"]][1] += delta["toolUse"].get("input", "")
        elif kind == "messageStop":
            said.reason = body["stopReason"]
        elif kind == "metadata":
            said.usage = converse_usage(body["usage"])
    said.calls = [(name, arguments(text)) for name, text in calls.values()]
    return said


def said_by_whole_converse(answer: dict[str, Any]) -> Said:
    said = Said(reason=answer["stopReason"], usage=converse_usage(answer["usage"]))
    for block in answer["output"]["message"]["content"]:
        said.text += block.get("text", "")
        # A text that cites is one of parts.
        parts = (block.get("citationsContent") or {}).get("content") or ()
        said.text += "".join(part["text"] for part in parts)
        thought = (block.get("reasoningContent") or {}).get("reasoningText") or {}
        said.thinking += thought.get("text", "")
        if "toolUse" in block:
            said.calls.append((block["toolUse"]["name"], block["toolUse"]["input"]))
    return said


def converse_usage(usage: dict[str, Any]) -> tuple[int, int, int]:
    cached = usage.get("cacheReadInputTokens", 0)
    written = usage.get("cacheWriteInputTokens", 0)
    return usage["inputTokens"] + cached + written, usage["outputTokens"], cached


def said_in_converse(output: bytes) -> Said:
    """Return what a stream says that botocore takes."""
    return said_by_converse(decoded(read_by_botocore(output)))


# Cohere...


def said_by_cohere(lines: Sequence[bytes]) -> Said:
    said = Said()
    calls: dict[int, list[str]] = {}
    for line in lines:
        event = json.loads(line)
        kind, delta = event["type"], event.get("delta") or {}
        message = delta.get("message") or {}
        if kind in ("content-start", "content-delta"):
            said.text += message["content"].get("text", "")
            said.thinking += message["content"].get("thinking", "")
        elif kind == "tool-plan-delta":
            said.text += message["tool_plan"]
        elif kind == "tool-call-start":
            function = message["tool_calls"]["function"]
            calls[event["index"]] = [function["name"], function["arguments"]]
        elif kind == "tool-call-delta":
            calls[event["index"]][1] += message["tool_calls"]["function"]["arguments"]
        elif kind == "message-end":
            said.reason = delta["finish_reason"]
            said.usage = cohere_usage(delta["usage"])
    said.calls = [(name, arguments(text)) for name, text in calls.values()]
    return said


def said_by_whole_cohere(answer: dict[str, Any]) -> Said:
    said = Said(reason=answer["finish_reason"], usage=cohere_usage(answer["usage"]))
    message = answer["message"]
    for block in message.get("content") or ():
        said.text += block.get("text", "")
        said.thinking += block.get("thinking", "")
    said.text += message.get("tool_plan", "")
    for call in message.get("tool_calls") or ():
        function = call["function"]
        said.calls.append((function["name"], arguments(function["arguments"])))
    return said


def cohere_usage(usage: dict[str, Any]) -> tuple[int, int, int]:
    """Return what is charged; of the cache, what reaches beyond Cohere's own prompt."""
    billed, tokens = usage["billed_units"], usage["tokens"]
    around = tokens["input_tokens"] - billed["input_tokens"]
    cached = max(0, usage.get("cached_tokens", 0) - around)
    return billed["input_tokens"], billed["output_tokens"], cached


def said_in_cohere(output: bytes) -> Said:
    """Return what a stream says, whose events come in Cohere's order."""
    events = [*SseDecoder().feed(output)]
    kinds = []
    for event in events:
        found = json.loads(event.data or b"")
        assert event.name.decode() == found["type"]
        kinds.append(found["type"])
    assert kinds[0] == "message-start"
    assert kinds[-1] == "message-end"
    assert set(kinds) <= {*COHERE_EVENTS}
    for kind in ("content", "tool-call", "citation"):
        assert kinds.count(f"{kind}-start") == kinds.count(f"{kind}-end")
    return said_by_cohere([event.data or b"" for event in events])


# Ollama...


def said_in_ollama(output: bytes) -> Said:
    """Return what the lines of a stream say, or that of a whole answer."""
    lines = [json.loads(line) for line in output.splitlines()]
    assert [each["done"] for each in lines] == [*[False] * (len(lines) - 1), True]
    said = Said()
    for line in lines:
        assert line["model"] == "mine"
        assert line["created_at"]
        message = line["message"]
        said.text += message.get("content", "")
        said.thinking += message.get("thinking", "")
        for call in message.get("tool_calls") or ():
            said.calls.append((call["function"]["name"], call["function"]["arguments"]))
    last = lines[-1]
    said.reason = last["done_reason"]
    # The API has no word for what comes from a cache.
    said.usage = (last["prompt_eval_count"], last["eval_count"], 0)
    return said
