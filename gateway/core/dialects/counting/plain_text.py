"""All text of a request that a model reads, for a tokenizer to count."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ...limits.prompt_text import PromptText
from ..canonical.call import (
    Audio,
    Block,
    CanonicalCall,
    Document,
    Image,
    RefusalText,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)


def plain_text(call: CanonicalCall) -> PromptText:
    """Return the texts of `call`: of its turns, its tools and the form of its answer."""
    texts: list[str] = []
    files = 0
    for turn in call.turns:
        for block in _flat(turn.blocks):
            match block:
                case Text() | RefusalText() | Thinking():
                    # Thinking that is encrypted has no text.
                    texts.append(block.text)
                case ToolCall():
                    texts += (block.name, block.arguments)
                case Document(text=str(text)):
                    texts += (block.title or "", text)
                case Image() | Document() | Audio():
                    files += 1
                case ToolResult():
                    pass
    for tool in call.tools:
        texts += (tool.name, tool.description or "", _json(tool.schema), _json(tool.grammar))
    if call.format is not None:
        texts.append(_json(call.format.schema))
    return PromptText([text for text in texts if text], len(call.turns), files)


def _flat(blocks: list[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, ToolResult):
            yield from _flat(block.blocks)


def _json(raw: msgspec.Raw | None) -> str:
    return "" if raw is None else bytes(raw).decode("utf-8", "replace")
