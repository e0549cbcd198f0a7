"""What is read of a request's body, whatever the API: of a chat, or of what generates no text.

How its streams and answers are read, and what a chat needs, is added by its dialect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import msgspec

from ...wire.splice import JsonMember, splice
from ..base import Recipient, StreamRewriter
from ..needs import Needs, prompt_tokens


class NeedsReader(Protocol):
    """Returns where a body asks for what some models lack, by the names of `Needs`."""

    def __call__(self, body: bytes, members: Sequence[JsonMember], /) -> dict[str, str]: ...


class PlainBody(msgspec.Struct, frozen=True):
    """What is read of every request. `user` is None, too, where the API has no word for it."""

    body: bytes
    members: list[JsonMember]
    model: str
    user: str | None = None

    def body_for(self, recipient: Recipient) -> bytes:
        """Return the body to send, under the recipient's name of the model."""
        return splice(self.body, put={"model": recipient.model_json}, known=self.members)


class ChatBody(PlainBody, frozen=True, kw_only=True):
    """A chat. `answer_tokens` are those of all its answers, 0 if it does not say.

    `asks_stream` is how the API asks for a stream: by a member or in the path.
    """

    stream: bool
    answer_tokens: int = 0
    answers: int = 1
    continues: str | None = None
    once: bool = False
    find_needs: ClassVar[NeedsReader]
    asks_stream: ClassVar[str] = "stream"

    def needs(self, *, prompt: bool = True) -> Needs:
        return Needs(
            **self.find_needs(self.body, self.members),
            streaming=self.asks_stream if self.stream else "",
            prompt=prompt_tokens(self.body) if prompt else 0,
            answer=self.answer_tokens // max(self.answers, 1),
        )


class TextlessBody(PlainBody, frozen=True):
    """A request that is answered with vectors, ranks, images: no text is generated."""

    stream: bool = False
    answer_tokens: ClassVar[int] = 0
    answers: ClassVar[int] = 0
    continues: ClassVar[None] = None
    once: ClassVar[bool] = False

    def needs(self, *, prompt: bool = True) -> Needs:
        # Each of many inputs has a context of its own.
        return Needs()

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        raise TypeError("its answers are not read as streams")
