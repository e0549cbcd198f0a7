"""Blocks in Bedrock's form."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import msgspec

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
from ...canonical.writing import written_input
from .media import format_of

# botocore's `ToolUseId`: 1 to 64 of these letters.
_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
# `DocumentBlockNameString`, with the advice beside it: letters, digits, single blanks, hyphens,
# parentheses and brackets; of 200 at most.
_UNNAMED: Final = re.compile(r"[^a-zA-Z0-9 \-()\[\]]+")
_BLANKS: Final = re.compile(r" {2,}")
_LONGEST_NAME: Final = 200
_CACHE_POINT: Final = {"cachePoint": {"type": "default"}}
_HOUR: Final = b'"1h"'


class BlockWriter:
    """Writes the blocks of one request: the names of its documents are all different.

    `family` is that of the state that the model takes.
    """

    def __init__(self, family: str, fidelity: Fidelity) -> None:
        self._family = family
        self._fidelity = fidelity
        self._names: set[str] = set()

    def write(self, blocks: list[Block], path: str, *, marks: bool = True) -> list[dict[str, Any]]:
        """Return `blocks` as they stand in a message, with the points up to which to cache."""
        found: list[dict[str, Any]] = []
        for block in blocks:
            written = self._write(block, path)
            if written is None:
                continue
            found.append(written)
            cache = getattr(block, "cache", None)
            if cache is not None and marks:
                found.append(cache_point(cache))
            elif cache is not None:
                self._fidelity.hint(f"{path} (cache_control)")
        return found

    def _write(  # noqa: PLR0911  # a row for each kind
        self, block: Block, path: str
    ) -> dict[str, Any] | None:
        if isinstance(block, Text) and block.citations:
            # What they point to is in another answer's request.
            self._fidelity.hint(f"{path} (citations)")
        if isinstance(block, Text | RefusalText):
            # The API refuses blank text, which other APIs allow; it says nothing.
            return {"text": block.text} if block.text.strip() else None
        if isinstance(block, Image):
            return self._image(block, path)
        if isinstance(block, Document):
            return self._document(block, path)
        if isinstance(block, ToolCall):
            return {
                "toolUse": {
                    "toolUseId": written_id(block.id),
                    "name": block.name,
                    "input": written_input(block),
                }
            }
        if isinstance(block, ToolResult):
            return {"toolResult": self._result(block, path)}
        if isinstance(block, Thinking):
            return self._thinking(block, path)
        assert isinstance(block, Audio)
        return {"audio": {"format": block.format, "source": {"bytes": block.data}}}

    def _image(self, block: Image, path: str) -> dict[str, Any] | None:
        if block.data is None:
            self._fidelity.demand(f"{path} (image)", "Bedrock takes images as data, not by a URL")
            return None
        if block.detail not in (None, "auto"):
            self._fidelity.hint(f"{path} (detail)")
        format_ = format_of(block.media_type)
        if format_ is None:
            self._fidelity.demand(f"{path} (image)", f"Bedrock takes no {block.media_type}")
            return None
        return {"image": {"format": format_, "source": {"bytes": block.data}}}

    def _document(self, block: Document, path: str) -> dict[str, Any] | None:
        if block.text is not None:
            return self._named("txt", block, {"text": block.text})
        if block.data is None:
            why = "Bedrock takes files as data, not by a URL or an id"
            self._fidelity.demand(f"{path} (file)", why)
            return None
        format_ = format_of(block.media_type)
        if format_ is None:
            self._fidelity.demand(f"{path} (file)", f"Bedrock takes no {block.media_type}")
            return None
        return self._named(format_, block, {"bytes": block.data})

    def _named(self, format_: str, block: Document, source: dict[str, Any]) -> dict[str, Any]:
        given = (block.title or "document").removesuffix(f".{format_}")
        name = _BLANKS.sub(" ", _UNNAMED.sub(" ", given)).strip()[:_LONGEST_NAME] or "document"
        base, number = name, 1
        while name in self._names:
            number += 1
            name = f"{base[: _LONGEST_NAME - 8]}-{number}"
        self._names.add(name)
        found = {"format": format_, "name": name, "source": source}
        cited = {"citations": {"enabled": True}} if block.cited else {}
        return {"document": {**found, **cited}}

    def _result(self, block: ToolResult, path: str) -> dict[str, Any]:
        content = self.write(block.blocks, path, marks=False)
        # A result must have a block, of which a text may be blank but not missing.
        found = {"toolUseId": written_id(block.id), "content": content or [{"text": " "}]}
        return {**found, "status": "error"} if block.is_error else found

    def _thinking(self, block: Thinking, path: str) -> dict[str, Any] | None:
        if block.family != self._family or not block.signature:
            self._fidelity.hint(f"{path} (thinking)")
            return None
        if block.encrypted:
            return {"reasoningContent": {"redactedContent": block.signature}}
        text = {"text": block.text, "signature": block.signature}
        return {"reasoningContent": {"reasoningText": text}}


def written_id(id: str) -> str:
    """Return the id of a call as Bedrock allows it; the same one for its result.

    Answers have ids of their own, so it need not be restored.
    """
    if _ID.fullmatch(id):
        return id
    return f"gw_{hashlib.sha256(id.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"


def cache_point(cache: msgspec.Raw) -> dict[str, Any]:
    """Return what marks the end of what is to be cached."""
    if _HOUR in bytes(cache):
        return {"cachePoint": {"type": "default", "ttl": "1h"}}
    return _CACHE_POINT
