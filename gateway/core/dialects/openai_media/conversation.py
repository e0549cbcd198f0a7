"""What images and speech were made of, and their sizes, for a person to read.

Nothing loads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ..conversation import MOST_PARTS, Conversation, ConversationTurn, Part, PartKind, text_part
from ..json_reading import conversation_of, decoded, items, member, sized, text

_INPUTS: Final = ("prompt", "instructions", "input")


def read_request(body: bytes) -> Conversation:
    """Return what was asked; an empty conversation if the body cannot be read, as of a form."""
    return conversation_of(body, _INPUTS)


def read_stream(events: Iterable[bytes]) -> list[ConversationTurn]:
    """Return nothing: pieces of an image or a sound say nothing to a reader."""
    return []


def read_answer(body: bytes) -> list[ConversationTurn]:
    """Return the images, the text of a recording, or how much sound came."""
    document = decoded(body)
    if not isinstance(document, dict):
        return [_turn([Part(kind=PartKind.SOUND, bytes=len(body))])] if body else []
    parts = [each for image in items(document.get("data"))[:MOST_PARTS] for each in _image(image)]
    if said := text(document.get("text")):
        parts.append(text_part(PartKind.TEXT, said))
    return [_turn(parts)] if parts else []


def _image(image: Any) -> list[Part]:
    address = text(member(image, "url"))
    found = [Part(kind=PartKind.IMAGE, text=address[:2000], bytes=sized(member(image, "b64_json")))]
    if revised := text(member(image, "revised_prompt")):
        found.append(text_part(PartKind.TEXT, revised))
    return found


def _turn(parts: list[Part]) -> ConversationTurn:
    return ConversationTurn(role="assistant", parts=parts)
