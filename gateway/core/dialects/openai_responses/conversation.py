"""A request of Responses and its answer as a conversation, for a person to read."""

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
_SHOWN: Final = {"input", "instructions", "tools", "model"}
_TEXTS: Final = {"input_text", "output_text", "text", "summary_text", "reasoning_text"}
# With one of these a stream ends, and they have all of the answer.
_ENDS: Final = {"response.completed", "response.incomplete", "response.failed"}


def read_request(body: bytes) -> Conversation:
    """Return what was asked; an empty conversation if the body cannot be read."""
    document = decoded(body)
    if not isinstance(document, dict):
        return Conversation()
    asked = document.get("input")
    if isinstance(asked, str):
        turns = [ConversationTurn(role="user", parts=[text_part(PartKind.TEXT, asked)])]
    else:
        turns = [_item(each) for each in items(asked)[:MOST_TURNS]]
    if text(document.get("instructions")):
        said = text_part(PartKind.TEXT, document["instructions"])
        turns.insert(0, ConversationTurn(role="system", parts=[said]))
    return Conversation(
        turns=turns,
        settings={name: value for name, value in document.items() if name not in _SHOWN},
        tools=[*tool_names(document.get("tools"))],
    )


def read_answer(body: bytes) -> list[ConversationTurn]:
    """Return a whole answer as one turn; none if it is no answer."""
    document = decoded(body)
    return [] if not isinstance(document, dict) else _answer(document)


def read_stream(events: Iterable[bytes]) -> list[ConversationTurn]:
    """Return the turn that a stream's events come to, as far as they go."""
    done: dict[int, Any] = {}
    texts: dict[int, list[str]] = {}
    for data in events:
        document = decoded(data)
        what, index = text(member(document, "type")), member(document, "output_index")
        if what in _ENDS and isinstance(document.get("response"), dict):
            return _answer(document["response"])
        if not isinstance(index, int) or len(done) + len(texts) > MOST_PARTS:
            continue
        if what == "response.output_item.done":
            done[index] = document.get("item")
        elif what == "response.output_text.delta":
            texts.setdefault(index, []).append(text(document.get("delta")))
    # It broke off: of an item that was not finished there is what has come of its text.
    begun = {
        index: {"type": "message", "content": [{"type": "text", "text": "".join(pieces)}]}
        for index, pieces in texts.items()
    }
    output = {**begun, **done}
    return _answer({"output": [output[index] for index in sorted(output)]}) if output else []


def _answer(response: dict[str, Any]) -> list[ConversationTurn]:
    output = response.get("output")
    if not isinstance(output, list):
        return []
    parts = [part for each in output[:MOST_PARTS] for part in _item(each).parts]
    turn = ConversationTurn(role="assistant", parts=parts[:MOST_PARTS])
    details = text(member(response.get("incomplete_details"), "reason"))
    note = details or text(response.get("status"))
    return [msgspec.structs.replace(turn, note=note[:100])]


def _item(item: Any) -> ConversationTurn:
    what = text(member(item, "type"))
    if what == "message" or (not what and member(item, "role")):
        role = text(item.get("role")) or "assistant"
        return ConversationTurn(role=role, parts=_parts(item.get("content"), PartKind.TEXT))
    if what == "reasoning":
        parts = [
            *_parts(item.get("summary"), PartKind.REASONING),
            *_parts(item.get("content"), PartKind.REASONING),
        ]
        return ConversationTurn(role="assistant", parts=parts)
    if what.endswith("_call_output"):
        said = text_part(PartKind.TOOL_RESULT, as_json(item.get("output")))
        return ConversationTurn(role="tool", parts=[said])
    if what in ("function_call", "custom_tool_call"):
        asked = item.get("arguments") if what == "function_call" else item.get("input")
        call = text_part(PartKind.TOOL_CALL, as_json(asked), text(item.get("name"))[:300])
        return ConversationTurn(role="assistant", parts=[call])
    return ConversationTurn(role="?", parts=[other(item)])


def _parts(content: Any, kind: PartKind) -> list[Part]:
    if isinstance(content, str):
        return [text_part(kind, content)]
    return [_part(each, kind) for each in items(content)[:MOST_PARTS]]


def _part(part: Any, kind: PartKind) -> Part:
    what = text(member(part, "type"))
    if what in _TEXTS and isinstance(part.get("text"), str):
        return text_part(kind, part["text"])
    if what == "refusal":
        return text_part(PartKind.REFUSAL, text(part.get("refusal")))
    if what == "input_image":
        url = text(part.get("image_url"))
        if url.startswith("data:"):
            head, _, data = url.partition(",")
            media = head.removeprefix("data:").partition(";")[0][:100]
            return Part(kind=PartKind.IMAGE, media_type=media, bytes=sized(data))
        return Part(kind=PartKind.IMAGE, text=url[:2000])
    if what == "input_file":
        title = text(part.get("filename")) or text(part.get("file_id"))
        return Part(kind=PartKind.FILE, title=title[:300], bytes=sized(part.get("file_data")))
    return other(part)
