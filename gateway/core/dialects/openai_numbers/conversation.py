"""Texts of which numbers were made, and how many numbers, for a person to read.

OpenAI's embeddings and moderations, and the embeddings of Ollama and Cohere, whose members have
other names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ..conversation import MOST_TURNS, Conversation, ConversationTurn, PartKind, text_part
from ..json_reading import as_json, conversation_of, decoded, items, member, sized

_INPUTS: Final = ("input", "inputs", "texts", "images", "prompt")
# Floats of 32 bits, as OpenAI packs them.
_FLOAT: Final = 4


def read_request(body: bytes) -> Conversation:
    """Return what was asked; an empty conversation if the body cannot be read."""
    return conversation_of(body, _INPUTS)


def read_stream(events: Iterable[bytes]) -> list[ConversationTurn]:
    """Return nothing: numbers do not stream."""
    return []


def read_answer(body: bytes) -> list[ConversationTurn]:
    """Return how many vectors came and how long they are, or what was found in the texts."""
    document = decoded(body)
    if found := items(member(document, "results")):
        return [
            ConversationTurn(role="result", parts=[text_part(PartKind.OTHER, as_json(each))])
            for each in found[:MOST_TURNS]
        ]
    vectors = [member(each, "embedding") for each in items(member(document, "data"))]
    embeddings = member(document, "embeddings")
    if isinstance(embeddings, dict):
        # Of Cohere: by the type of their numbers.
        vectors += [each for of_type in embeddings.values() for each in items(of_type)]
    vectors += items(embeddings)
    if not vectors:
        return []
    numbers = sorted({_length(each) for each in vectors})
    lengths = " or ".join(f"{each:,}" for each in numbers[:3])
    said = f"{len(vectors):,} {'vector' if len(vectors) == 1 else 'vectors'} of {lengths} numbers"
    return [ConversationTurn(role="vectors", parts=[text_part(PartKind.TEXT, said)])]


def _length(vector: Any) -> int:
    return len(vector) if isinstance(vector, list) else (sized(vector) or 0) // _FLOAT
