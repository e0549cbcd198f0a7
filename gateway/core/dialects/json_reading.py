"""Reading documents of which nothing is certain, for a person: what is absent reads as nothing.

Requests come from callers and answers from providers, so anything may stand anywhere: what is not
understood is shown as it came, and nothing here raises for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from .conversation import (
    MOST_PARTS,
    Conversation,
    ConversationTurn,
    Part,
    PartKind,
    text_part,
)


def decoded(data: bytes) -> Any:
    """Return a document; None if it is none."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def as_json(value: Any) -> str:
    """Return text as it is, and everything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def other(value: Any) -> Part:
    return text_part(PartKind.OTHER, as_json(value))


def inputs(value: Any) -> list[Part]:
    """Return what a model was given that is no chat: a text, several, or numbers of tokens."""
    if isinstance(value, str):
        return [text_part(PartKind.TEXT, value)]
    several = items(value)
    if several and all(isinstance(each, int) for each in several):
        return [text_part(PartKind.OTHER, as_json(value))]
    return [
        text_part(PartKind.TEXT, each) if isinstance(each, str) else other(each)
        for each in several[:MOST_PARTS]
    ] or ([] if value is None else [other(value)])


def conversation_of(body: bytes, names: Sequence[str]) -> Conversation:
    """Return what was asked, of which the members `names` are what the model was given.

    An empty conversation if the body cannot be read, as of a form.
    """
    document = decoded(body)
    if not isinstance(document, dict):
        return Conversation()
    turns = [
        ConversationTurn(role=name, parts=inputs(document[name]))
        for name in names
        if name in document
    ]
    shown = {"model", *names}
    settings = {name: value for name, value in document.items() if name not in shown}
    return Conversation(turns=turns, settings=settings)


def sized(data: Any) -> int | None:
    """Return how many bytes a text in base64 stands for; None if there is none."""
    found = text(data)
    return len(found) * 3 // 4 if found else None


def tool_names(tools: Any) -> Iterator[str]:
    for tool in items(tools):
        yield text(member(tool, "name")) or text(member(tool, "type")) or "?"
