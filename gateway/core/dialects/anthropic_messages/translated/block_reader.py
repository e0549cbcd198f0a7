"""The blocks of Anthropic's messages, read (`types/content_block_param.py` of its SDK)."""

from __future__ import annotations

from typing import Final

import msgspec

from ...canonical.call import Block, Document, Image, Text, Thinking, ToolCall, ToolResult
from ...canonical.fidelity import Fidelity
from ...canonical.opaque import restored_id, untagged
from ...canonical.reading import (
    Fields,
    fields_of,
    is_text,
    is_true,
    items_of,
    member_text,
    text_of,
)
from .citations import read_citations

_Raw = msgspec.Raw
# Members of blocks that say nothing to another provider, or that are read elsewhere.
_KNOWN: Final = frozenset({"type", "cache_control"})


def read_content(raw: _Raw, path: str, fidelity: Fidelity) -> list[Block]:
    """Return the blocks of a message or of a tool's result: a string, or a list of blocks."""
    if is_text(raw):
        return [Text(text_of(raw, path))]
    found: list[Block] = []
    for number, item in enumerate(items_of(raw, path)):
        where = f"{path}.{number}"
        block = _read_block(fields_of(item, where), where, fidelity)
        if block is not None:
            found.append(block)
    return found


def _read_block(  # noqa: PLR0911  # a row for each type
    fields: Fields, path: str, fidelity: Fidelity
) -> Block | None:
    kind = member_text(fields, "type", path)
    cache = fields.get("cache_control")
    if kind == "text":
        citations = read_citations(fields.get("citations", _Raw(b"[]")))
        return Text(member_text(fields, "text", path), cache, citations)
    if kind == "image":
        return _image(fields, path, cache, fidelity)
    if kind == "document":
        return _document(fields, path, cache, fidelity)
    if kind == "tool_use":
        # The input's own text: numbers keep their digits, members their order.
        return ToolCall(
            id=restored_id(member_text(fields, "id", path)),
            name=member_text(fields, "name", path),
            arguments=bytes(fields.get("input", b"{}")).decode("utf-8", "replace"),
            cache=cache,
        )
    if kind == "tool_result":
        content = fields.get("content")
        return ToolResult(
            id=restored_id(member_text(fields, "tool_use_id", path)),
            blocks=[] if content is None else read_content(content, f"{path}.content", fidelity),
            is_error=is_true(fields.get("is_error")),
            cache=cache,
        )
    if kind == "thinking":
        family, signature = untagged(member_text(fields, "signature", path, ""))
        text = member_text(fields, "thinking", path, "")
        return Thinking(text, family, signature)
    if kind == "redacted_thinking":
        family, data = untagged(member_text(fields, "data", path, ""))
        return Thinking("", family, data, encrypted=True)
    _unknown(kind, path, fidelity)
    return None


def _unknown(kind: str, path: str, fidelity: Fidelity) -> None:
    """Leave out what only this API has: what its own servers did, mostly.

    A call that the provider ran itself is no call of the caller's, and its result is no message.
    """
    where = f"{path} ({kind})"
    if kind.endswith(("_tool_result", "tool_use")) or kind == "fallback":
        fidelity.hint(where)
        return
    fidelity.demand(where, "blocks of this type cannot be translated")


def _image(fields: Fields, path: str, cache: _Raw | None, fidelity: Fidelity) -> Block | None:
    source = fields_of(fields.get("source", _Raw(b"0")), f"{path}.source")
    kind = member_text(source, "type", f"{path}.source")
    if kind == "base64":
        media = member_text(source, "media_type", f"{path}.source")
        data = member_text(source, "data", f"{path}.source")
        return Image(data=data, media_type=media, cache=cache)
    if kind == "url":
        return Image(url=member_text(source, "url", f"{path}.source"), cache=cache)
    fidelity.demand(f"{path}.source", f"an image by {kind} is known to one provider only")
    return None


def _document(fields: Fields, path: str, cache: _Raw | None, fidelity: Fidelity) -> Block | None:
    where = f"{path}.source"
    source = fields_of(fields.get("source", _Raw(b"0")), where)
    kind = member_text(source, "type", where)
    title = member_text(fields, "title", path, "") or None
    for name in fields.keys() - _KNOWN - {"source", "title", "citations"}:
        fidelity.hint(f"{path}.{name}")
    cited = _cited(fields, f"{path}.citations")
    if kind == "base64":
        media = member_text(source, "media_type", where, "application/pdf")
        data = member_text(source, "data", where)
        return Document(data=data, media_type=media, title=title, cache=cache, cited=cited)
    if kind == "url":
        url = member_text(source, "url", where)
        return Document(url=url, title=title, cache=cache, cited=cited)
    if kind == "text":
        text = member_text(source, "data", where)
        return Document(text=text, media_type="text/plain", title=title, cache=cache, cited=cited)
    fidelity.demand(where, f"a document by {kind} is known to one provider only")
    return None


def _cited(fields: Fields, path: str) -> str:
    """Return `path`, if it asks for the document to be cited."""
    raw = fields.get("citations")
    return path if raw is not None and is_true(fields_of(raw, path).get("enabled")) else ""
