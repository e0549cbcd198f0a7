"""A canonical call as a chat in Ollama's API."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...base import ForeignRecipient
from ...canonical.call import (
    Block,
    CanonicalCall,
    Document,
    Image,
    Reasoning,
    RefusalText,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from ...canonical.fidelity import Fidelity
from ...canonical.reading import is_object

_ENCODE: Final = msgspec.json.Encoder().encode
_SAMPLING: Final = (
    *("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty"),
)
_BOOKS: Final = (
    *("user", "metadata", "service_tier", "cache_key", "cache_retention", "safety_id"),
    "verbosity",
)
_UNKNOWN: Final = ("logprobs", "top_logprobs", "logit_bias")
_ONE: Final = b"1"


def family_of(recipient: ForeignRecipient) -> str:
    """Return whose thinking a provider takes back: its own only."""
    return f"ollama/{recipient.provider}"


def write_call(call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity) -> bytes:
    """Return the body of the request. Raises Untranslatable."""
    body: dict[str, Any] = {
        "model": msgspec.Raw(recipient.model_json),
        "messages": _Messages(recipient, fidelity).written(call.turns),
        "stream": call.stream,
    }
    if call.tools:
        _put_tools(body, call, fidelity)
    for own in call.own_tools:
        fidelity.demand(own.path, "the API has no tools of its own")
    if call.format is not None:
        body["format"] = "json" if call.format.schema is None else call.format.schema
    if call.reasoning is not None:
        _put_reasoning(body, call.reasoning, recipient, fidelity)
    options: dict[str, Any] = {
        name: value for name in _SAMPLING if (value := getattr(call, name)) is not None
    }
    if call.max_tokens is not None:
        options["num_predict"] = call.max_tokens
    if call.stop:
        options["stop"] = call.stop
    if options:
        body["options"] = options
    _leave_out(call, fidelity)
    return _ENCODE(body)


def _leave_out(call: CanonicalCall, fidelity: Fidelity) -> None:
    for name in _UNKNOWN:
        value = getattr(call, name)
        if value is not None and bytes(value) not in (b"false", b"0", b"{}"):
            fidelity.demand(call.path(name), "the API has no such thing")
    if call.answers is not None and bytes(call.answers) != _ONE:
        fidelity.demand(call.path("answers"), "the API gives one answer")
    for name in _BOOKS:
        if getattr(call, name) is not None:
            fidelity.hint(call.path(name))


def _put_tools(body: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    choice, tools = call.choice, call.tools
    if call.parallel is False:
        fidelity.hint(call.path("parallel"))
    if choice is not None and choice.mode == "none":
        return
    if choice is not None and choice.mode in ("any", "tool"):
        fidelity.demand(call.path("tool_choice"), "the API leaves it to the model to call a tool")
    if choice is not None and choice.names and choice.mode == "auto":
        tools = [each for each in tools if each.name in choice.names]
    written = []
    for tool in tools:
        function: dict[str, Any] = {"name": tool.name, "description": tool.description or ""}
        function["parameters"] = tool.schema or {"type": "object", "properties": {}}
        if tool.cache is not None:
            fidelity.hint("cache_control")
        written.append({"type": "function", "function": function})
    body["tools"] = written


def _put_reasoning(
    body: dict[str, Any], asked: Reasoning, recipient: ForeignRecipient, fidelity: Fidelity
) -> None:
    if recipient.reasoning == "none":
        # A model that does not think answers `think` with a 400.
        if not asked.off:
            fidelity.hint(asked.path)
        return
    if asked.off or asked.effort is None:
        body["think"] = not asked.off
        return
    effort = recipient.terms.effort(asked.effort)
    body["think"] = effort if effort in ("low", "medium", "high") else True


class _Messages:
    def __init__(self, recipient: ForeignRecipient, fidelity: Fidelity) -> None:
        self._family = family_of(recipient)
        self._fidelity = fidelity
        self._names: dict[str, str] = {}

    def written(self, turns: list[Turn]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for turn in turns:
            if turn.role == "assistant":
                found += self._assistant(turn)
            elif turn.role == "user":
                found += self._user(turn)
            else:
                found.append(self._message("system", turn.blocks, turn.path))
        return found

    def _user(self, turn: Turn) -> list[dict[str, Any]]:
        """Return the results of calls, then everything else."""
        found: list[dict[str, Any]] = []
        rest: list[Block] = []
        for block in turn.blocks:
            if not isinstance(block, ToolResult):
                rest.append(block)
                continue
            message = self._message("tool", block.blocks, turn.path)
            if block.id in self._names:
                message["tool_name"] = self._names[block.id]
            if block.is_error:
                self._fidelity.hint(f"{turn.path} (is_error)")
            found.append(message)
        if rest or not found:
            found.append(self._message("user", rest, turn.path))
        return found

    def _assistant(self, turn: Turn) -> list[dict[str, Any]]:
        calls, thinking = [], []
        said: list[Block] = []
        for block in turn.blocks:
            if isinstance(block, ToolCall):
                self._names[block.id] = block.name
                calls.append(self._call(block, turn.path))
            elif isinstance(block, Thinking):
                if block.text and block.family in ("", self._family) and not block.encrypted:
                    thinking.append(block.text)
                else:
                    self._fidelity.hint(f"{turn.path} (thinking)")
            elif isinstance(block, RefusalText):
                said.append(Text(block.text))
            else:
                said.append(block)
        if not (said or calls):
            return []
        message = self._message("assistant", said, turn.path)
        if thinking:
            message["thinking"] = "".join(thinking)
        if calls:
            message["tool_calls"] = calls
        return [message]

    def _call(self, block: ToolCall, path: str) -> dict[str, Any]:
        text = block.arguments or "{}"
        if not is_object(text):
            self._fidelity.demand(f"{path} (tool call)", "its arguments are no JSON object")
            text = "{}"
        return {"function": {"name": block.name, "arguments": msgspec.Raw(text.encode())}}

    def _message(self, role: str, blocks: list[Block], path: str) -> dict[str, Any]:
        texts, images = [], []
        for block in blocks:
            if getattr(block, "cache", None) is not None:
                self._fidelity.hint("cache_control")
            if isinstance(block, Text):
                texts.append(block.text)
                if block.citations:
                    self._fidelity.hint(f"{path} (citations)")
            elif isinstance(block, Image) and block.data is not None:
                images.append(block.data)
            elif isinstance(block, Document) and block.text is not None:
                texts.append(block.text)
            else:
                kind = type(block).__name__.lower()
                self._fidelity.demand(
                    f"{path} ({kind})", "the API takes text, and images by their content"
                )
        message: dict[str, Any] = {"role": role, "content": "\n\n".join(texts)}
        if images:
            message["images"] = images
        return message
