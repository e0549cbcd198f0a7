"""A chat or a prompt of Ollama's and its answer as a conversation, for a person to read.

By github.com/ollama/ollama `api/types.go`: images are base64 beside the content, a call's arguments
are an object, and a stream's lines have what a whole answer has, in pieces.
"""

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
from ..openai_chat import conversation as chat

_SHOWN: Final = {"model", "messages", "prompt", "system", "suffix", "images", "tools"}


def read_request(body: bytes) -> Conversation:
    """Return what was asked; an empty conversation if the body cannot be read."""
    document = decoded(body)
    if not isinstance(document, dict):
        return Conversation()
    turns = [_turn(each) for each in items(document.get("messages"))[:MOST_TURNS]]
    if system := text(document.get("system")):
        turns.append(ConversationTurn(role="system", parts=[text_part(PartKind.TEXT, system)]))
    if "prompt" in document:
        asked = {**document, "role": "user", "content": document["prompt"], "tool_calls": None}
        turns.append(_turn(asked))
    if suffix := text(document.get("suffix")):
        turns.append(ConversationTurn(role="suffix", parts=[text_part(PartKind.TEXT, suffix)]))
    return Conversation(
        turns=turns,
        settings={name: value for name, value in document.items() if name not in _SHOWN},
        tools=chat.read_request(body).tools,
    )


def read_answer(body: bytes) -> list[ConversationTurn]:
    """Return a whole answer's turn; none if it is no answer."""
    return read_stream([body])


def read_stream(events: Iterable[bytes]) -> list[ConversationTurn]:
    """Return the turn that a stream's lines come to."""
    said: dict[str, list[str]] = {"thinking": [], "content": []}
    calls: list[Any] = []
    end, found = "", False
    for data in events:
        line = decoded(data)
        message = member(line, "message")
        if not isinstance(message, dict):
            if not isinstance(member(line, "response"), str):
                continue
            message = {"thinking": line.get("thinking"), "content": line["response"]}
        found = True
        for name, texts in said.items():
            texts.append(text(message.get(name)))
        calls += items(message.get("tool_calls"))[: MOST_PARTS - len(calls)]
        end = text(line.get("done_reason")) or end
    if not found:
        return []
    whole = {name: "".join(texts) for name, texts in said.items()}
    turn = _turn({"role": "assistant", **whole, "tool_calls": calls})
    return [ConversationTurn(role=turn.role, parts=turn.parts, note=end[:100])]


def _turn(message: Any) -> ConversationTurn:
    if not isinstance(message, dict):
        return ConversationTurn(role="?", parts=[other(message)])
    role = text(message.get("role")) or "?"
    parts = []
    if thought := text(message.get("thinking")):
        parts.append(text_part(PartKind.REASONING, thought))
    kind = PartKind.TOOL_RESULT if role == "tool" else PartKind.TEXT
    content = message.get("content")
    if isinstance(content, str) and content:
        parts.append(text_part(kind, content))
    elif content is not None and not isinstance(content, str):
        parts.append(other(content))
    images = items(message.get("images"))[:MOST_PARTS]
    parts += [Part(kind=PartKind.IMAGE, bytes=sized(each)) for each in images]
    for call in items(message.get("tool_calls"))[:MOST_PARTS]:
        called = member(call, "function")
        name, arguments = text(member(called, "name")), member(called, "arguments")
        parts.append(text_part(PartKind.TOOL_CALL, as_json(arguments), name[:300]))
    return ConversationTurn(role=role, parts=parts, name=text(message.get("tool_name"))[:300])
