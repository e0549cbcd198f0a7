"""A request of Messages and its answer as a conversation, for a person to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ..conversation import (
    MOST_PARTS,
    MOST_TURNS,
    Conversation,
    ConversationTurn,
    Part,
    PartKind,
    text_part,
)
from ..json_reading import as_json, decoded, items, member, other, sized, text, tool_names

# Not settings: they are shown in other ways.
_SHOWN: Final = {"messages", "tools", "model", "system"}
# What a delta of a block's own kind is called, and the member of the block that it goes on with.
_DELTAS: Final = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "input"}


def read_request(body: bytes) -> Conversation:
    """Return what was asked; an empty conversation if the body cannot be read."""
    document = decoded(body)
    if not isinstance(document, dict):
        return Conversation()
    turns = [_turn(each) for each in items(document.get("messages"))[:MOST_TURNS]]
    if (system := document.get("system")) is not None:
        turns.insert(0, ConversationTurn(role="system", parts=_parts(system)))
    return Conversation(
        turns=turns,
        settings={name: value for name, value in document.items() if name not in _SHOWN},
        tools=[*tool_names(document.get("tools"))],
    )


def read_answer(body: bytes) -> list[ConversationTurn]:
    """Return a whole answer's turn; none if it is no answer."""
    document = decoded(body)
    if not isinstance(document, dict) or not isinstance(document.get("content"), list):
        return []
    return [_ended(document["content"], document.get("stop_reason"))]


def read_stream(events: Iterable[bytes]) -> list[ConversationTurn]:
    """Return the turn that a stream's events come to."""
    blocks: dict[int, dict[str, Any]] = {}
    reason: object = None
    for data in events:
        document = decoded(data)
        index = member(document, "index")
        if not isinstance(index, int) or len(blocks) > MOST_PARTS:
            index = 0
        what = member(document, "type")
        if what == "content_block_start" and isinstance(document.get("content_block"), dict):
            blocks[index] = {**document["content_block"], "pieces": {}}
        elif what == "content_block_delta":
            _add(blocks.setdefault(index, {"type": "text", "pieces": {}}), document.get("delta"))
        elif what == "message_delta":
            reason = member(document.get("delta"), "stop_reason") or reason
    if not blocks:
        return []
    return [_ended([_joined(blocks[index]) for index in sorted(blocks)], reason)]


def _add(block: dict[str, Any], delta: Any) -> None:
    name = _DELTAS.get(text(member(delta, "type")))
    piece = member(delta, "partial_json" if name == "input" else name or "")
    if name is not None and isinstance(piece, str):
        block["pieces"].setdefault(name, []).append(piece)


def _joined(block: dict[str, Any]) -> dict[str, Any]:
    pieces = block.pop("pieces")
    for name, texts in pieces.items():
        begun = text(block.get(name))
        block[name] = begun + "".join(texts)
    return block


def _ended(content: list[Any], reason: object) -> ConversationTurn:
    turn = ConversationTurn(role="assistant", parts=_parts(content))
    return msgspec.structs.replace(turn, note=reason[:100]) if isinstance(reason, str) else turn


def _turn(message: Any) -> ConversationTurn:
    if not isinstance(message, dict):
        return ConversationTurn(role="?", parts=[other(message)])
    return ConversationTurn(
        role=text(message.get("role")) or "?", parts=_parts(message.get("content"))
    )


def _parts(content: Any) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [text_part(PartKind.TEXT, content)]
    if not isinstance(content, list):
        return [other(content)]
    return [_part(each) for each in content[:MOST_PARTS]]


def _part(block: Any) -> Part:
    what = text(member(block, "type"))
    if what == "text" and isinstance(block.get("text"), str):
        return text_part(PartKind.TEXT, block["text"])
    if what == "thinking":
        return text_part(PartKind.REASONING, text(block.get("thinking")))
    if what in ("tool_use", "server_tool_use", "mcp_tool_use"):
        title = text(block.get("name"))[:300]
        return text_part(PartKind.TOOL_CALL, as_json(block.get("input")), title)
    if what.endswith("tool_result"):
        return text_part(PartKind.TOOL_RESULT, _result(block.get("content")))
    if what in ("image", "document"):
        return _file(block, PartKind.IMAGE if what == "image" else PartKind.FILE)
    return other(block)


def _result(content: Any) -> str:
    """Return what a tool said: its texts, or what there is as JSON."""
    parts = items(content)
    if parts and all(member(each, "type") == "text" for each in parts):
        return "\n".join(text(member(each, "text")) for each in parts)
    return as_json(content)


def _file(block: dict[str, Any], kind: PartKind) -> Part:
    source = block.get("source")
    return Part(
        kind=kind,
        text=text(member(source, "url"))[:2000],
        title=text(block.get("title"))[:300],
        media_type=text(member(source, "media_type"))[:100],
        bytes=sized(member(source, "data")),
    )
