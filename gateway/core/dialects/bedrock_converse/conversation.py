"""A request of Converse and its answer as a conversation, for a person to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ..conversation import (
    MOST_PARTS,
    MOST_TURNS,
    Conversation,
    ConversationTurn,
    Part,
    PartKind,
    text_part,
)
from ..json_reading import as_json, decoded, items, member, other, sized, text
from .answer import merged

# Not settings: they are shown in other ways.
_SHOWN: Final = {"messages", "system", "toolConfig"}
_FILES: Final = {"image": PartKind.IMAGE, "document": PartKind.FILE, "audio": PartKind.SOUND}


def read_request(body: bytes) -> Conversation:
    """Return what was asked; an empty conversation if the body cannot be read."""
    document = decoded(body)
    if not isinstance(document, dict):
        return Conversation()
    turns = [_turn(each) for each in items(document.get("messages"))[:MOST_TURNS]]
    if system := items(document.get("system")):
        turns.insert(0, ConversationTurn(role="system", parts=_parts(system)))
    tools = items(member(document.get("toolConfig"), "tools"))
    names = [text(member(member(each, "toolSpec"), "name")) for each in tools]
    return Conversation(
        turns=turns,
        settings={name: value for name, value in document.items() if name not in _SHOWN},
        tools=[name[:300] for name in names if name],
    )


def read_answer(body: bytes) -> list[ConversationTurn]:
    """Return a whole answer's turn; none if it is no answer."""
    document = decoded(body)
    content = member(member(member(document, "output"), "message"), "content")
    if not isinstance(content, list):
        return []
    return [_ended(content, member(document, "stopReason"))]


def read_stream(events: Iterable[bytes]) -> list[ConversationTurn]:
    """Return the turn that a stream's events come to; which each is, its members tell."""
    blocks: dict[int, dict[str, Any]] = {}
    reason: object = None
    for data in events:
        document = decoded(data)
        index = member(document, "contentBlockIndex")
        if not isinstance(index, int) or len(blocks) > MOST_PARTS:
            index = 0
        start, delta = member(document, "start"), member(document, "delta")
        if isinstance(start, dict):
            blocks[index] = dict(start)
        elif isinstance(delta, dict):
            blocks[index] = merged(blocks.get(index, {}), delta)
        else:
            reason = member(document, "stopReason") or reason
    return [_ended([blocks[index] for index in sorted(blocks)], reason)] if blocks else []


def _ended(content: list[Any], reason: object) -> ConversationTurn:
    note = reason[:100] if isinstance(reason, str) else ""
    return ConversationTurn(role="assistant", parts=_parts(content), note=note)


def _turn(message: Any) -> ConversationTurn:
    if not isinstance(message, dict):
        return ConversationTurn(role="?", parts=[other(message)])
    return ConversationTurn(
        role=text(message.get("role")) or "?", parts=_parts(items(message.get("content")))
    )


def _parts(content: list[Any]) -> list[Part]:
    return [_part(each) for each in content[:MOST_PARTS]]


def _part(block: Any) -> Part:  # noqa: PLR0911  # a row for each kind
    if not isinstance(block, dict):
        return other(block)
    if isinstance(block.get("text"), str):
        return text_part(PartKind.TEXT, block["text"])
    if (thought := member(block.get("reasoningContent"), "reasoningText")) is not None:
        return text_part(PartKind.REASONING, text(member(thought, "text")))
    if (call := block.get("toolUse")) is not None:
        given = member(call, "input")
        shown = given if isinstance(given, str) else as_json(given)
        return text_part(PartKind.TOOL_CALL, shown, text(member(call, "name"))[:300])
    if (result := block.get("toolResult")) is not None:
        return text_part(PartKind.TOOL_RESULT, _result(items(member(result, "content"))))
    for name, kind in _FILES.items():
        if name in block:
            return _file(block[name], name, kind)
    return other(block)


def _result(parts: list[Any]) -> str:
    """Return what a tool said: its texts, or what there is as JSON."""
    if parts and all(isinstance(member(each, "text"), str) for each in parts):
        return "\n".join(each["text"] for each in parts)
    return as_json(parts)


def _file(found: Any, name: str, kind: PartKind) -> Part:
    source = member(found, "source")
    format_ = text(member(found, "format"))[:50]
    return Part(
        kind=kind,
        title=text(member(found, "name"))[:300],
        media_type=f"{name}/{format_}" if format_ else "",
        bytes=sized(member(source, "bytes")),
    )
