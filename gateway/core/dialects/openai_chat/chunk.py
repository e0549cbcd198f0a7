"""One event of a stream: what of it is decoded, and what it says beside its text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ...wire.json_scan import NOTHING
from .faults import values

# Absent is UNSET, since msgspec gives the raw bytes of anything, null included.
Found = msgspec.Raw | msgspec.UnsetType


class Choice(msgspec.Struct, gc=False):
    delta: Found = msgspec.UNSET
    finish_reason: Found = msgspec.UNSET
    error: Found = msgspec.UNSET
    # Moonshot reports it here, in the last chunk.
    usage: Found = msgspec.UNSET
    index: int = 0


class Chunk(msgspec.Struct, gc=False):
    model: Found = msgspec.UNSET
    usage: Found = msgspec.UNSET
    x_groq: Found = msgspec.UNSET
    timings: Found = msgspec.UNSET
    error: Found = msgspec.UNSET
    choices: list[Choice] | None = None


class Shape(msgspec.Struct, frozen=True):
    """What chat completions and the legacy ones have of their own.

    `decode` reads an event, and gives what a choice says as its `delta`, wherever that stands.
    `whole` and `chunk` are the `object` of an answer and of an event. `message` says that a
    choice has an object of what it says, and not a text.
    """

    decode: Callable[[bytes], Chunk]
    whole: str
    chunk: str
    message: bool = True


CHAT: Final = Shape(msgspec.json.Decoder(Chunk).decode, "chat.completion", "chat.completion.chunk")
NULL: Final = msgspec.Raw(b"null")
_DELTA: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

# Every chunk has these, so they are no reason to keep one whose usage was not asked for:
# OpenAI's and Azure's members, and `provider`, which is OpenRouter's.
_ENVELOPE: Final = frozenset(
    {
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "system_fingerprint",
        "service_tier",
        "obfuscation",
        "provider",
        "x_groq",
    }
)
# Data that was never an event of this API, such as `ping` or `null`. Half an event has quotes,
# braces or brackets in it.
_BARE_WORD: Final = re.compile(rb"[\w .:-]{0,64}")


def is_bare_word(data: bytes) -> bool:
    """Say whether data that is no JSON object cannot have been a part of one either."""
    return _BARE_WORD.fullmatch(data) is not None


def says_more(data: bytes) -> bool:
    """Say whether a chunk has members that a caller may wait for: llama.cpp's `timings`, say."""
    return any(key not in _ENVELOPE and value not in NOTHING for key, value in values(data).items())


def delta_says(delta: Found) -> bool:
    """Say whether a delta carries more than the role that opens a message."""
    if not isinstance(delta, msgspec.Raw) or bytes(delta) in NOTHING:
        return False
    try:
        fields = _DELTA.decode(delta)
    except (msgspec.DecodeError, RecursionError):
        return True
    return has_content(fields)


def has_content(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Say whether a message or delta carries more than the role that opens it."""
    return any(key != "role" and bytes(value) not in NOTHING for key, value in fields.items())


def index_of(choice: Mapping[str, Any]) -> int:
    """Return the index of a choice that was decoded with floats for numbers; 0 for none."""
    number = choice.get("index")
    return int(number) if isinstance(number, float) and abs(number) < 2**53 else 0
