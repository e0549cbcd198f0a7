"""What one request to the demo is answered with, in each of the two forms it may be asked for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

DONE: Final = b"data: [DONE]\n\n"
WORD: Final = re.compile(r"\s*\S+")

encode: Final = msgspec.json.Encoder().encode


class NotKept(msgspec.MsgspecError):
    """A request goes on from an answer, and the demo keeps none."""


class Reply(Protocol):
    """`stream` says which of the two was asked for, `pace` how many tokens long it is."""

    @property
    def stream(self) -> bool: ...

    @property
    def pace(self) -> int: ...

    def whole(self) -> bytes: ...

    def events(self) -> Iterator[bytes]: ...


def id_of(seed: bytes) -> str:
    """Return what tells the answers to different requests apart."""
    return hashlib.sha256(seed).hexdigest()[:24]


def count(text: str) -> int:
    """Return how many tokens a text has: a word each."""
    return len(WORD.findall(text))


def say(question: str) -> list[str]:
    """Return the tokens of the answer to a question."""
    words = WORD.findall(question)
    topic = "".join(words[:30]).strip() + (" ..." if len(words) > 30 else "")
    opening = f'You asked about this: "{topic}".' if topic else "You did not ask anything."
    return WORD.findall(
        f"{opening} I am the demo provider that comes with the gateway, so I know nothing of "
        "the world. But everything around this answer is real: it was streamed word by word "
        "over a connection of its own, its tokens were counted, and it is in the request log. "
        "Put a provider and its key into the configuration, and the same request will be "
        "answered by a model."
    )


def data(chunk: dict[str, object]) -> bytes:
    """Return an event without a name."""
    return b"data: %b\n\n" % encode(chunk)
