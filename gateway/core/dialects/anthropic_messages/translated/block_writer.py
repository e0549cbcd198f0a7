"""Blocks in Anthropic's form."""

from __future__ import annotations

from typing import Any, Final

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
)
from ...canonical.fidelity import Fidelity
from ...canonical.opaque import shown_id
from ...canonical.writing import written_input

# The family of signatures that Anthropic's own models make and take.
FAMILY: Final = "anthropic_messages"


def write_blocks(blocks: list[Block], path: str, fidelity: Fidelity) -> list[dict[str, Any]]:
    """Return `blocks` as they stand in a message."""
    found = []
    for block in blocks:
        written = _write(block, path, fidelity)
        if written is not None:
            cache = getattr(block, "cache", None)
            found.append(written if cache is None else {**written, "cache_control": cache})
    return found


def _write(  # noqa: PLR0911  # a row for each kind
    block: Block, path: str, fidelity: Fidelity
) -> dict[str, Any] | None:
    if isinstance(block, Text):
        # The API refuses empty text, which other APIs allow; it says nothing.
        return _text(block, path, fidelity) if block.text else None
    if isinstance(block, Image):
        return _image(block, path, fidelity)
    if isinstance(block, Document):
        return _document(block, path, fidelity)
    if isinstance(block, ToolCall):
        return {
            "type": "tool_use",
            "id": shown_id(block.id),
            "name": block.name,
            "input": written_input(block),
        }
    if isinstance(block, ToolResult):
        found = {"type": "tool_result", "tool_use_id": shown_id(block.id)}
        content: Any = write_blocks(block.blocks, path, fidelity)
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            content = content[0]["text"]
        error = {"is_error": True} if block.is_error else {}
        return {**found, **({"content": content} if content else {}), **error}
    if isinstance(block, Thinking):
        if block.family != FAMILY or not block.signature:
            fidelity.hint(f"{path} (thinking)")
            return None
        if block.encrypted:
            return {"type": "redacted_thinking", "data": block.signature}
        return {"type": "thinking", "thinking": block.text, "signature": block.signature}
    if isinstance(block, RefusalText):
        return {"type": "text", "text": block.text} if block.text else None
    assert isinstance(block, Audio)
    fidelity.demand(f"{path} (audio)", "Anthropic's API takes no audio")
    return None


def _text(block: Text, path: str, fidelity: Fidelity) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "text", "text": block.text}
    own = [each.native for each in block.citations if each.family == FAMILY and each.native]
    if len(own) < len(block.citations):
        # What they point to is in the index of another provider.
        fidelity.hint(f"{path} (citations)")
    return {**found, "citations": own} if own else found


def _image(block: Image, path: str, fidelity: Fidelity) -> dict[str, Any]:
    if block.detail not in (None, "auto"):
        fidelity.hint(f"{path} (detail)")
    if block.data is not None:
        source = {"type": "base64", "media_type": block.media_type, "data": block.data}
    else:
        source = {"type": "url", "url": block.url or ""}
    return {"type": "image", "source": source}


def _document(block: Document, path: str, fidelity: Fidelity) -> dict[str, Any] | None:
    source: dict[str, Any]
    if block.data is not None:
        source = {"type": "base64", "media_type": block.media_type, "data": block.data}
    elif block.text is not None:
        source = {"type": "text", "media_type": "text/plain", "data": block.text}
    elif block.url is not None:
        source = {"type": "url", "url": block.url}
    else:
        fidelity.demand(f"{path} (file)", "a file by its id is known to one provider only")
        return None
    title = {} if block.title is None else {"title": block.title}
    cited = {"citations": {"enabled": True}} if block.cited else {}
    return {"type": "document", "source": source, **title, **cited}
