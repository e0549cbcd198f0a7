"""Canonical turns as the messages of a chat."""

from __future__ import annotations

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

_EMPTY: Final = ""


def family_of(recipient: ForeignRecipient) -> str:
    """Return whose reasoning a chat provider takes back: its own only."""
    return f"openai_chat/{recipient.provider}"


def write_messages(
    turns: list[Turn], recipient: ForeignRecipient, fidelity: Fidelity
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "assistant":
            found += _assistant(turn, recipient, fidelity)
        elif turn.role == "user":
            found += _user(turn, fidelity)
        else:
            content = _content(turn.blocks, turn.path, fidelity)
            found.append({"role": "system", "content": content})
    return found


def _user(turn: Turn, fidelity: Fidelity) -> list[dict[str, Any]]:
    """Return the results of calls, which must follow the calls at once, then everything else."""
    found: list[dict[str, Any]] = []
    rest: list[Block] = []
    for block in turn.blocks:
        if isinstance(block, ToolResult):
            texts: list[Block] = [each for each in block.blocks if isinstance(each, Text)]
            others = [each for each in block.blocks if not isinstance(each, Text)]
            content = _content(texts, turn.path, fidelity)
            found.append({"role": "tool", "tool_call_id": block.id, "content": content})
            if block.is_error:
                fidelity.hint(f"{turn.path} (is_error)")
            if others:
                # A chat's results are text; a picture goes to the user's message behind them.
                rest += [Text(f"Result of the tool call {block.id}:"), *others]
        else:
            rest.append(block)
    if rest or not found:
        found.append({"role": "user", "content": _content(rest, turn.path, fidelity)})
    return found


def _assistant(turn: Turn, recipient: ForeignRecipient, fidelity: Fidelity) -> list[dict[str, Any]]:
    message: dict[str, Any] = {"role": "assistant"}
    said: list[Block] = []
    calls, reasoning = [], []
    for block in turn.blocks:
        if isinstance(block, ToolCall):
            calls.append(_call(block))
        elif isinstance(block, Thinking):
            if block.family == family_of(recipient) and block.text:
                reasoning.append(block.text)
            else:
                fidelity.hint(f"{turn.path} (thinking)")
        elif isinstance(block, RefusalText):
            message["refusal"] = message.get("refusal", "") + block.text
        else:
            said.append(block)
    if reasoning:
        message["reasoning_content"] = _EMPTY.join(reasoning)
    if not (said or calls or "refusal" in message):
        return []
    message["content"] = _content(said, turn.path, fidelity) if said else None
    if calls:
        message["tool_calls"] = calls
    return [message]


def _call(block: ToolCall) -> dict[str, Any]:
    if block.custom:
        inner = {"name": block.name, "input": block.arguments}
        return {"id": block.id, "type": "custom", "custom": inner}
    function = {"name": block.name, "arguments": block.arguments or "{}"}
    return {"id": block.id, "type": "function", "function": function}


def _content(blocks: list[Block], path: str, fidelity: Fidelity) -> str | list[dict[str, Any]]:
    if any(getattr(block, "cache", None) is not None for block in blocks):
        # Chat providers cache by themselves (platform.openai.com/docs, "Prompt caching").
        fidelity.hint("cache_control")
    if any(isinstance(block, Text) and block.citations for block in blocks):
        # Answers have annotations, messages of a request have none.
        fidelity.hint(f"{path} (citations)")
    if not blocks:
        return ""
    if len(blocks) == 1 and isinstance(blocks[0], Text):
        return blocks[0].text
    parts = (_part(block, path, fidelity) for block in blocks)
    return [part for part in parts if part is not None]


def _part(block: Block, path: str, fidelity: Fidelity) -> dict[str, Any] | None:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text}
    if isinstance(block, Image):
        url = block.url
        if block.data is not None:
            url = f"data:{block.media_type};base64,{block.data}"
        detail = {} if block.detail is None else {"detail": block.detail}
        return {"type": "image_url", "image_url": {"url": url, **detail}}
    if isinstance(block, Audio):
        return {"type": "input_audio", "input_audio": {"data": block.data, "format": block.format}}
    if isinstance(block, Document):
        return _file(block, path, fidelity)
    fidelity.demand(path, f"a chat has no place for {type(block).__name__} here")
    return None


def _file(block: Document, path: str, fidelity: Fidelity) -> dict[str, Any] | None:
    title = block.title or "document"
    if block.text is not None:
        return {"type": "text", "text": block.text}
    if block.data is not None:
        data = f"data:{block.media_type};base64,{block.data}"
        return {"type": "file", "file": {"filename": title, "file_data": data}}
    if block.id is not None:
        return {"type": "file", "file": {"file_id": block.id}}
    fidelity.demand(f"{path} (document)", "a chat takes files by their content only")
    return None
