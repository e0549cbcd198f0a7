"""A prompt of the legacy completions and its answer as a conversation, for a person to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ..conversation import MOST_TURNS, Conversation, ConversationTurn, PartKind, text_part
from ..json_reading import decoded, inputs, items, member, text

_SHOWN: Final = {"model", "prompt", "suffix"}


def read_request(body: bytes) -> Conversation:
    """Return what was asked; an empty conversation if the body cannot be read."""
    document = decoded(body)
    if not isinstance(document, dict):
        return Conversation()
    turns = [ConversationTurn(role="prompt", parts=inputs(document.get("prompt")))]
    if suffix := text(document.get("suffix")):
        turns.append(ConversationTurn(role="suffix", parts=[text_part(PartKind.TEXT, suffix)]))
    settings = {name: value for name, value in document.items() if name not in _SHOWN}
    return Conversation(turns=turns, settings=settings)


def read_answer(body: bytes) -> list[ConversationTurn]:
    """Return a whole answer's turns, one for each choice; none if it is no answer."""
    return read_stream([body])


def read_stream(events: Iterable[bytes]) -> list[ConversationTurn]:
    """Return the turns that a stream's events come to, one for each choice."""
    choices: dict[int, tuple[list[str], list[str]]] = {}
    for data in events:
        for choice in items(member(decoded(data), "choices")):
            _add(choices, choice)
    return [
        ConversationTurn(
            role="assistant",
            parts=[text_part(PartKind.TEXT, "".join(texts))],
            note="".join(ends[-1:])[:100],
        )
        for _, (texts, ends) in sorted(choices.items())
    ]


def _add(choices: dict[int, tuple[list[str], list[str]]], choice: Any) -> None:
    index = member(choice, "index")
    if not isinstance(index, int) or (index not in choices and len(choices) >= MOST_TURNS):
        index = 0
    texts, ends = choices.setdefault(index, ([], []))
    texts.append(text(member(choice, "text")))
    if end := text(member(choice, "finish_reason")):
        ends.append(end)
