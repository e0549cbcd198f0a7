"""What a person reads of a request and its answer, whatever dialect they were in.

ConversationTurn   who says something
Part   one thing that is said: a text, a call of a tool, an image
"""

from __future__ import annotations

import enum

import msgspec

# What is shown of one text: enough for a person, and not a whole book in one page.
MOST_TEXT = 200_000
# Turns and parts of a conversation, beyond which it is cut.
MOST_TURNS = 1000
MOST_PARTS = 1000


class PartKind(enum.StrEnum):
    TEXT = "text"
    REASONING = "reasoning"
    REFUSAL = "refusal"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    IMAGE = "image"
    SOUND = "sound"
    FILE = "file"
    OTHER = "other"  # shown as it came


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """`title` is a tool's name or a file's, `media_type` and `bytes` are of an image, if known.

    `text` of an image is its address if it was sent as one: nothing loads it.
    """

    kind: PartKind
    text: str = ""
    title: str = ""
    media_type: str = ""
    bytes: int | None = None
    cut: bool = False


class ConversationTurn(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    parts: list[Part]
    name: str = ""
    note: str = ""


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """`settings` are the request's other members, `tools` the names of what it offers."""

    turns: list[ConversationTurn] = []
    settings: dict[str, object] = {}
    tools: list[str] = []
    answers: list[ConversationTurn] = []


def text_part(kind: PartKind, text: str, title: str = "") -> Part:
    """Return a part of a text, shortened to what can be shown."""
    cut = len(text) > MOST_TEXT
    return Part(kind=kind, text=text[:MOST_TEXT], title=title, cut=cut)
