"""Canonical turns as the messages of a chat in Cohere's API."""

from __future__ import annotations

from typing import Any

from ...base import ForeignRecipient
from ...canonical.call import (
    Block,
    Document,
    Image,
    RefusalText,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from ...canonical.fidelity import Fidelity
from .documents import written_data, written_document


def family_of(recipient: ForeignRecipient) -> str:
    """Return whose thinking a provider takes back: its own only."""
    return f"cohere/{recipient.provider}"


class MessageWriter:
    """Writes the messages of one request.

    `documents` are those that stand beside the messages, in the order of the request; with `inline`
    they stay in their place, as text.
    """

    def __init__(self, recipient: ForeignRecipient, fidelity: Fidelity, *, inline: bool) -> None:
        self.documents: list[dict[str, Any]] = []
        self._family = family_of(recipient)
        self._fidelity = fidelity
        self._inline = inline

    def write(self, turns: list[Turn]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for turn in turns:
            if turn.role == "assistant":
                found += self._assistant(turn)
            elif turn.role == "user":
                found += self._user(turn)
            elif any(each["role"] != "system" for each in found):
                # "system turn must be the first in the list" (docs.cohere.com, "Errors").
                self._fidelity.hint(f"{turn.path} (its place among the instructions)")
                found += self._user(turn)
            else:
                content = self._content(turn.blocks, turn.path)
                found.append({"role": "system", "content": content})
        return found

    def _user(self, turn: Turn) -> list[dict[str, Any]]:
        """Return the results of calls, which must follow the calls at once, then all else."""
        found: list[dict[str, Any]] = []
        rest: list[Block] = []
        for block in turn.blocks:
            if not isinstance(block, ToolResult):
                rest.append(block)
                continue
            images: list[Block] = [each for each in block.blocks if isinstance(each, Image)]
            content = self._result(block, turn.path)
            found.append({"role": "tool", "tool_call_id": block.id, "content": content})
            if block.is_error:
                self._fidelity.hint(f"{turn.path} (is_error)")
            if images:
                # A result is text; a picture goes to the user's message behind it.
                rest += [Text(f"Result of the tool call {block.id}:"), *images]
        if rest or not found:
            content = self._content(rest, turn.path)
            if content or not found:
                # A question of documents alone still has to be one.
                found.append({"role": "user", "content": content or "..."})
        return found

    def _assistant(self, turn: Turn) -> list[dict[str, Any]]:
        calls, thoughts = [], []
        said: list[Block] = []
        for block in turn.blocks:
            if isinstance(block, ToolCall):
                calls.append(_call(block))
            elif isinstance(block, Thinking):
                if block.text and not block.encrypted and block.family in ("", self._family):
                    thoughts.append({"type": "thinking", "thinking": block.text})
                else:
                    self._fidelity.hint(f"{turn.path} (thinking)")
            else:
                said.append(block)
        message: dict[str, Any] = {"role": "assistant"}
        texts = self._parts(said, turn.path)
        if calls:
            message["tool_calls"] = calls
            if plan := "".join(each.get("text", "") for each in texts):
                # What a model says before it calls.
                message["tool_plan"] = plan
            texts = []
        if thoughts or texts:
            message["content"] = [*thoughts, *texts]
            if len(texts) == 1 and not thoughts:
                message["content"] = texts[0]["text"]
        return [message] if calls or texts else []

    def _result(self, block: ToolResult, path: str) -> str | list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        for each in block.blocks:
            if isinstance(each, Document) and each.text is not None:
                parts.append({"type": "document", "document": {"data": written_data(each)}})
            elif not isinstance(each, Image):
                parts += self._parts([each], path)
        if all(part["type"] == "text" for part in parts) and len(parts) <= 1:
            return parts[0]["text"] if parts else ""
        return parts

    def _content(self, blocks: list[Block], path: str) -> str | list[dict[str, Any]]:
        parts = self._parts(blocks, path)
        if len(parts) == 1 and parts[0]["type"] == "text":
            return str(parts[0]["text"])
        return parts or ""

    def _parts(self, blocks: list[Block], path: str) -> list[dict[str, Any]]:
        found = []
        for block in blocks:
            if getattr(block, "cache", None) is not None:
                # Its prompts are cached by themselves.
                self._fidelity.hint("cache_control")
            part = self._part(block, path)
            if part is not None:
                found.append(part)
        return found

    def _part(self, block: Block, path: str) -> dict[str, Any] | None:
        if isinstance(block, Text):
            if block.citations:
                self._fidelity.hint(f"{path} (citations)")
            # Empty text, which other APIs allow, says nothing.
            return {"type": "text", "text": block.text} if block.text else None
        if isinstance(block, RefusalText):
            return {"type": "text", "text": block.text} if block.text else None
        if isinstance(block, Image):
            url = block.url
            if block.data is not None:
                url = f"data:{block.media_type};base64,{block.data}"
            detail = {} if block.detail is None else {"detail": block.detail}
            return {"type": "image_url", "image_url": {"url": url, **detail}}
        if isinstance(block, Document) and block.text is not None:
            if self._inline:
                if block.cited:
                    self._fidelity.hint(block.cited)
                return {"type": "text", "text": block.text}
            self.documents.append(written_document(block, len(self.documents)))
            return None
        kind = type(block).__name__.lower()
        why = "Cohere's API takes text, documents of text, and images"
        self._fidelity.demand(f"{path} ({kind})", why)
        return None


def _call(block: ToolCall) -> dict[str, Any]:
    function = {"name": block.name, "arguments": block.arguments or "{}"}
    return {"id": block.id, "type": "function", "function": function}
