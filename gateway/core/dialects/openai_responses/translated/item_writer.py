"""Canonical turns as the items of an input."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from ...base import ForeignRecipient
from ...canonical.call import (
    Audio,
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
from .reasoning_state import restored_item
from .sources import written_annotation

# platform.openai.com/docs/api-reference/responses/create: "call_id", at most 64 characters.
_LONGEST_ID: Final = 64


def family_of(recipient: ForeignRecipient) -> str:
    """Return whose reasoning a provider takes back: what its own account has encrypted."""
    return f"openai_responses/{recipient.provider}"


class ItemWriter:
    """Writes the items of one request."""

    def __init__(self, recipient: ForeignRecipient, fidelity: Fidelity) -> None:
        self._family = family_of(recipient)
        self._fidelity = fidelity
        # Ids of calls of custom tools, whose results have a type of their own.
        self._custom: set[str] = set()
        self._items = 0

    def write(self, turns: list[Turn]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for turn in turns:
            if any(getattr(block, "cache", None) is not None for block in turn.blocks):
                # OpenAI caches by itself (platform.openai.com/docs, "Prompt caching").
                self._fidelity.hint("cache_control")
            if turn.role == "assistant":
                found += self._assistant(turn)
            else:
                found += self._others(turn)
        return found

    def _others(self, turn: Turn) -> list[dict[str, Any]]:
        """Return the results of calls, and what is said around them in its order."""
        found: list[dict[str, Any]] = []
        said: list[Block] = []
        for block in turn.blocks:
            if isinstance(block, ToolResult):
                if said:
                    found.append(self._message(turn, said))
                    said = []
                found.append(self._result(block, turn.path))
            else:
                said.append(block)
        if said or not found:
            found.append(self._message(turn, said))
        return found

    def _message(self, turn: Turn, blocks: list[Block]) -> dict[str, Any]:
        return {"role": turn.role, "content": self._content(blocks, turn.path)}

    def _assistant(self, turn: Turn) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for block in turn.blocks:
            if isinstance(block, Text):
                if block.text:
                    found.append(self._said(block))
            elif isinstance(block, ToolCall):
                found.append(self._call(block))
            elif isinstance(block, Thinking):
                item = None
                if block.family == self._family:
                    item = restored_item(block.signature, block.text)
                if item is None:
                    self._fidelity.hint(f"{turn.path} (thinking)")
                else:
                    found.append(item)
            elif isinstance(block, RefusalText):
                found.append(self._refusal(block))
            else:
                what = type(block).__name__
                self._fidelity.demand(turn.path, f"a model's message has no place for {what}")
        return found

    def _said(self, block: Text) -> dict[str, Any]:
        written = [written_annotation(each, len(block.text)) for each in block.citations]
        annotations = [each for each in written if each is not None]
        if not annotations:
            return {"role": "assistant", "content": block.text}
        part = {"type": "output_text", "text": block.text, "annotations": annotations}
        return self._item_of_answer(part)

    def _refusal(self, block: RefusalText) -> dict[str, Any]:
        return self._item_of_answer({"type": "refusal", "refusal": block.text})

    def _item_of_answer(self, part: dict[str, Any]) -> dict[str, Any]:
        # Only the items of answers have a place for such a part, and those have an id.
        self._items += 1
        return {
            "type": "message",
            "id": f"msg_gateway_{self._items}",
            "status": "completed",
            "role": "assistant",
            "content": [part],
        }

    def _call(self, block: ToolCall) -> dict[str, Any]:
        namespace = {"namespace": block.namespace} if block.namespace else {}
        id = _short(block.id)
        if block.custom:
            self._custom.add(id)
            item = {"type": "custom_tool_call", "call_id": id, "name": block.name}
            return {**item, **namespace, "input": block.arguments}
        item = {"type": "function_call", "call_id": id, "name": block.name}
        return {**item, **namespace, "arguments": block.arguments or "{}"}

    def _result(self, block: ToolResult, path: str) -> dict[str, Any]:
        if block.is_error:
            self._fidelity.hint(f"{path} (is_error)")
        id = _short(block.id)
        kind = "custom_tool_call_output" if id in self._custom else "function_call_output"
        return {"type": kind, "call_id": id, "output": self._content(block.blocks, path)}

    def _content(self, blocks: list[Block], path: str) -> str | list[dict[str, Any]]:
        if not blocks:
            return ""
        if len(blocks) == 1 and isinstance(blocks[0], Text):
            return blocks[0].text
        parts = (self._part(block, path) for block in blocks)
        return [part for part in parts if part is not None]

    def _part(self, block: Block, path: str) -> dict[str, Any] | None:
        if isinstance(block, Text):
            return {"type": "input_text", "text": block.text}
        if isinstance(block, Image):
            url = block.url
            if block.data is not None:
                url = f"data:{block.media_type};base64,{block.data}"
            return {"type": "input_image", "detail": block.detail or "auto", "image_url": url}
        if isinstance(block, Document):
            return _file(block)
        if isinstance(block, Audio):
            # Not in the SDK's types; the API says itself which models take it.
            audio = {"data": block.data, "format": block.format}
            return {"type": "input_audio", "input_audio": audio}
        self._fidelity.demand(path, f"a response has no place for {type(block).__name__} here")
        return None


def _file(block: Document) -> dict[str, Any]:
    if block.text is not None:
        return {"type": "input_text", "text": block.text}
    if block.id is not None:
        return {"type": "input_file", "file_id": block.id}
    if block.url is not None:
        title = {} if block.title is None else {"filename": block.title}
        return {"type": "input_file", "file_url": block.url, **title}
    data = f"data:{block.media_type};base64,{block.data}"
    return {"type": "input_file", "filename": block.title or "document", "file_data": data}


def _short(id: str) -> str:
    """Return an id of a call in the length that the API allows; the same for the same id."""
    if len(id) <= _LONGEST_ID:
        return id
    digest = hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"call_{digest[: _LONGEST_ID - 5]}"
