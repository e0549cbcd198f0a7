"""The blocks of Converse's messages, read: objects whose one member says what they are."""

from __future__ import annotations

from typing import Final

import msgspec

from ...canonical.call import Audio, Block, Document, Image, Text, Thinking, ToolCall, ToolResult
from ...canonical.fidelity import Fidelity
from ...canonical.opaque import restored_id, untagged
from ...canonical.reading import Fields, fields_of, is_true, items_of, member_text, text_of
from ..foreign_state import read_blob
from .citations import read_citations
from .media import DOCUMENTS, IMAGES

_Raw = msgspec.Raw
_CACHE: Final = "cachePoint"
_EPHEMERAL: Final = _Raw(b'{"type":"ephemeral"}')
_EPHEMERAL_HOUR: Final = _Raw(b'{"type":"ephemeral","ttl":"1h"}')
# What a server of the provider did, or what means something only there.
_HARMLESS: Final = frozenset({"toolAddition", "toolRemoval"})


def read_blocks(raw: _Raw, path: str, fidelity: Fidelity) -> list[Block]:
    """Return the blocks of a message, of the instructions, or of a tool's result."""
    found: list[Block] = []
    for number, item in enumerate(items_of(raw, path)):
        where = f"{path}.{number}"
        fields = fields_of(item, where)
        if _CACHE in fields:
            _mark(found, fields[_CACHE], where, fidelity)
            continue
        block = _read_block(fields, where, fidelity)
        if block is not None:
            found.append(block)
    return found


def _mark(found: list[Block], raw: _Raw, path: str, fidelity: Fidelity) -> None:
    """Note the point up to which the prompt is to be cached at the block before it."""
    ttl = member_text(fields_of(raw, path), "ttl", path, "")
    if found and hasattr(found[-1], "cache"):
        found[-1].cache = _EPHEMERAL_HOUR if ttl == "1h" else _EPHEMERAL
    else:
        fidelity.hint(f"{path}.{_CACHE}")


def _read_block(  # noqa: PLR0911  # a row for each member of the union
    fields: Fields, path: str, fidelity: Fidelity
) -> Block | None:
    if "text" in fields:
        return Text(text_of(fields["text"], f"{path}.text"))
    if "json" in fields:
        return Text(bytes(fields["json"]).decode("utf-8", "replace"))
    if "image" in fields:
        return _image(fields_of(fields["image"], f"{path}.image"), f"{path}.image", fidelity)
    if "document" in fields:
        where = f"{path}.document"
        return _document(fields_of(fields["document"], where), where, fidelity)
    if "audio" in fields:
        return _audio(fields_of(fields["audio"], f"{path}.audio"), f"{path}.audio", fidelity)
    if "toolUse" in fields:
        return _call(fields_of(fields["toolUse"], f"{path}.toolUse"), f"{path}.toolUse", fidelity)
    if "toolResult" in fields:
        where = f"{path}.toolResult"
        return _result(fields_of(fields["toolResult"], where), where, fidelity)
    if "reasoningContent" in fields:
        where = f"{path}.reasoningContent"
        return _thinking(fields_of(fields["reasoningContent"], where), where)
    if "citationsContent" in fields:
        where = f"{path}.citationsContent"
        return _cited(fields_of(fields["citationsContent"], where), where)
    if "guardContent" in fields:
        return _guarded(fields, path, fidelity)
    kind = next(iter(fields), "nothing")
    if kind in _HARMLESS:
        fidelity.hint(f"{path}.{kind}")
    else:
        fidelity.demand(f"{path}.{kind}", "blocks of this kind cannot be translated")
    return None


def _image(fields: Fields, path: str, fidelity: Fidelity) -> Block | None:
    source = fields_of(fields.get("source", _Raw(b"{}")), f"{path}.source")
    if "bytes" not in source:
        fidelity.demand(f"{path}.source", "an image in S3 is known to Bedrock only")
        return None
    format_ = member_text(fields, "format", path, "png")
    data = text_of(source["bytes"], f"{path}.source.bytes")
    return Image(data=data, media_type=IMAGES.get(format_, f"image/{format_}"))


def _document(fields: Fields, path: str, fidelity: Fidelity) -> Block | None:
    source = fields_of(fields.get("source", _Raw(b"{}")), f"{path}.source")
    title = member_text(fields, "name", path, "") or None
    for name in sorted(fields.keys() - {"format", "name", "source", "citations"}):
        fidelity.hint(f"{path}.{name}")
    asks = fields_of(fields.get("citations", _Raw(b"{}")), f"{path}.citations")
    cited = f"{path}.citations" if is_true(asks.get("enabled")) else ""
    format_ = member_text(fields, "format", path, "txt")
    media_type = DOCUMENTS.get(format_, "application/octet-stream")
    if "bytes" in source:
        data = text_of(source["bytes"], f"{path}.source.bytes")
        return Document(data=data, media_type=media_type, title=title, cited=cited)
    if "text" in source:
        text = text_of(source["text"], f"{path}.source.text")
        return Document(text=text, media_type="text/plain", title=title, cited=cited)
    if "content" in source:
        where = f"{path}.source.content"
        parts = [
            member_text(fields_of(each, where), "text", where, "")
            for each in items_of(source["content"], where)
        ]
        text = "\n".join(parts)
        return Document(text=text, media_type="text/plain", title=title, cited=cited)
    fidelity.demand(f"{path}.source", "a document in S3 is known to Bedrock only")
    return None


def _audio(fields: Fields, path: str, fidelity: Fidelity) -> Block | None:
    source = fields_of(fields.get("source", _Raw(b"{}")), f"{path}.source")
    if "bytes" not in source:
        fidelity.demand(f"{path}.source", "a sound in S3 is known to Bedrock only")
        return None
    data = text_of(source["bytes"], f"{path}.source.bytes")
    return Audio(data=data, format=member_text(fields, "format", path))


def _call(fields: Fields, path: str, fidelity: Fidelity) -> Block | None:
    if "type" in fields:
        # A call that the provider ran itself is none of the caller's.
        fidelity.hint(path)
        return None
    return ToolCall(
        id=restored_id(member_text(fields, "toolUseId", path)),
        name=member_text(fields, "name", path),
        # The input's own text: numbers keep their digits, members their order.
        arguments=bytes(fields.get("input", b"{}")).decode("utf-8", "replace"),
    )


def _result(fields: Fields, path: str, fidelity: Fidelity) -> Block | None:
    if "type" in fields:
        fidelity.hint(path)
        return None
    content = fields.get("content", _Raw(b"[]"))
    return ToolResult(
        id=restored_id(member_text(fields, "toolUseId", path)),
        blocks=read_blocks(content, f"{path}.content", fidelity),
        is_error=member_text(fields, "status", path, "success") == "error",
    )


def _thinking(fields: Fields, path: str) -> Block:
    if "redactedContent" in fields:
        blob = text_of(fields["redactedContent"], f"{path}.redactedContent")
        family, state = read_blob(blob)
        return Thinking("", family, state, encrypted=True)
    where = f"{path}.reasoningText"
    text = fields_of(fields.get("reasoningText", _Raw(b"{}")), where)
    family, signature = untagged(member_text(text, "signature", where, ""))
    return Thinking(member_text(text, "text", where, ""), family, signature)


def _cited(fields: Fields, path: str) -> Block:
    where = f"{path}.content"
    parts = [
        member_text(fields_of(each, where), "text", where, "")
        for each in items_of(fields.get("content", _Raw(b"[]")), where)
    ]
    return Text("".join(parts), citations=read_citations(fields.get("citations", _Raw(b"[]"))))


def _guarded(fields: Fields, path: str, fidelity: Fidelity) -> Block | None:
    """Read what a guardrail is to look at: the guardrail is Bedrock's, the text is the caller's."""
    where = f"{path}.guardContent"
    found = fields_of(fields["guardContent"], where)
    fidelity.hint(where)
    if "text" in found:
        return Text(member_text(fields_of(found["text"], where), "text", where))
    return _image(fields_of(found.get("image", _Raw(b"{}")), where), where, fidelity)
