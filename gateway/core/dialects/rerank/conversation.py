"""Documents and a query that they are ranked by, and their ranks, for a person to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ..conversation import MOST_TURNS, Conversation, ConversationTurn, PartKind, text_part
from ..json_reading import as_json, decoded, inputs, items, member, text

_SHOWN: Final = {"model", "query", "documents"}
_HOLDERS: Final = ("results", "data")


def read_request(body: bytes) -> Conversation:
    """Return what was asked; an empty conversation if the body cannot be read."""
    document = decoded(body)
    if not isinstance(document, dict):
        return Conversation()
    turns = [ConversationTurn(role="query", parts=inputs(document.get("query")))]
    for number, each in enumerate(items(document.get("documents"))[:MOST_TURNS]):
        said = text(member(each, "text")) or as_json(each)
        part = text_part(PartKind.TEXT, said)
        turns.append(ConversationTurn(role="document", name=str(number), parts=[part]))
    settings = {name: value for name, value in document.items() if name not in _SHOWN}
    return Conversation(turns=turns, settings=settings)


def read_stream(events: Iterable[bytes]) -> list[ConversationTurn]:
    """Return nothing: ranks do not stream."""
    return []


def read_answer(body: bytes) -> list[ConversationTurn]:
    """Return the ranks, best first as they came; none if it is no answer."""
    document = decoded(body)
    ranks = next((found for each in _HOLDERS if (found := items(member(document, each)))), [])
    return [
        ConversationTurn(
            role="rank", name=str(number), parts=[text_part(PartKind.TEXT, _said(each))]
        )
        for number, each in enumerate(ranks[:MOST_TURNS], 1)
    ]


def _said(rank: Any) -> str:
    return f"document {as_json(member(rank, 'index'))}: {as_json(member(rank, 'relevance_score'))}"
