"""A request for content and its answer as a conversation, for a person to read."""

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

# Not settings: they are shown in other ways.
_SHOWN: Final = {
    *("contents", "tools", "model", "stream", "systemInstruction", "system_instruction"),
}
_KINDS: Final = {"image": PartKind.IMAGE, "audio": PartKind.SOUND}


def read_request(body: bytes) -> Conversation:
    """Return what was asked; an empty conversation if the body cannot be read."""
    document = decoded(body)
    if not isinstance(document, dict):
        return Conversation()
    turns = [_turn(each) for each in _list(document.get("contents"))[:MOST_TURNS]]
    system = _either(document, "systemInstruction", "system_instruction")
    if system is not None:
        turns.insert(0, ConversationTurn(role="system", parts=_parts(system)))
    return Conversation(
        turns=turns,
        settings={name: value for name, value in document.items() if name not in _SHOWN},
        tools=[*_tool_names(document.get("tools"))],
    )


def read_answer(body: bytes) -> list[ConversationTurn]:
    """Return the turn of each candidate; those of an array's elements together."""
    document = decoded(body)
    return _joined(items(document) or [document])


def read_stream(events: Iterable[bytes]) -> list[ConversationTurn]:
    """Return the turns that a stream's events come to."""
    return _joined([decoded(data) for data in events])


def _joined(events: list[Any]) -> list[ConversationTurn]:
    parts: dict[int, list[Any]] = {}
    reasons: dict[int, str] = {}
    for event in events:
        for candidate in items(member(event, "candidates")):
            index = member(candidate, "index")
            index = index if isinstance(index, int) else 0
            found = parts.setdefault(index, [])
            for part in _list(member(member(candidate, "content"), "parts")):
                _add(found, part)
            reasons[index] = text(member(candidate, "finishReason")) or reasons.get(index, "")
        feedback = member(event, "promptFeedback")
        if not parts and (reason := text(member(feedback, "blockReason"))):
            parts[0], reasons[0] = [], reason
    return [
        ConversationTurn(
            role="model", parts=[_part(each) for each in parts[index]], note=reasons[index][:100]
        )
        for index in sorted(parts)
    ]


def _add(parts: list[Any], part: Any) -> None:
    """Add a part, to the text before it if it goes on with that."""
    piece = member(part, "text")
    if isinstance(piece, str) and parts:
        last = parts[-1]
        if isinstance(member(last, "text"), str) and last.get("thought") == part.get("thought"):
            last["text"] += piece
            return
    if len(parts) < MOST_PARTS:
        parts.append(dict(part) if isinstance(part, dict) else part)


def _turn(content: Any) -> ConversationTurn:
    if not isinstance(content, dict):
        return ConversationTurn(role="?", parts=[other(content)])
    return ConversationTurn(role=text(content.get("role")) or "user", parts=_parts(content))


def _parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text_part(PartKind.TEXT, content)]
    return [_part(each) for each in _list(member(content, "parts"))[:MOST_PARTS]]


def _part(part: Any) -> Part:
    if not isinstance(part, dict):
        return other(part)
    if isinstance(part.get("text"), str):
        kind = PartKind.REASONING if part.get("thought") else PartKind.TEXT
        return text_part(kind, part["text"])
    call = _either(part, "functionCall", "function_call")
    if call is not None:
        given = _either(call, "args", "partialArgs", "partial_args")
        return text_part(PartKind.TOOL_CALL, as_json(given), text(member(call, "name"))[:300])
    result = _either(part, "functionResponse", "function_response")
    if result is not None:
        said = as_json(member(result, "response"))
        return text_part(PartKind.TOOL_RESULT, said, text(member(result, "name"))[:300])
    media = _either(part, "inlineData", "inline_data", "fileData", "file_data")
    return other(part) if media is None else _file(media)


def _file(media: Any) -> Part:
    kind = text(member(media, "mimeType") or member(media, "mime_type"))
    return Part(
        kind=_KINDS.get(kind.partition("/")[0], PartKind.FILE),
        text=text(member(media, "fileUri") or member(media, "file_uri"))[:2000],
        title=text(member(media, "displayName"))[:300],
        media_type=kind[:100],
        bytes=sized(member(media, "data")),
    )


def _tool_names(tools: Any) -> Iterable[str]:
    for tool in _list(tools):
        declared = _either(tool, "functionDeclarations", "function_declarations")
        if declared is None and isinstance(tool, dict):
            yield from tool
        for each in _list(declared):
            yield text(member(each, "name")) or "?"


def _list(value: Any) -> list[Any]:
    return [value] if isinstance(value, dict) else items(value)


def _either(value: Any, *names: str) -> Any:
    return next((found for name in names if (found := member(value, name)) is not None), None)
