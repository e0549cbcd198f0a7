"""Requests whose body names a model and is otherwise not looked into: of a chat or for vectors.

What an API has of its own, how its streams and answers are read, is added by its dialect.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ...wire.splice import JsonMember, splice
from ..base import Recipient, StreamRewriter
from ..needs import Needs


class PlainBody(msgspec.Struct, frozen=True):
    """What is read of a request. The API has no word for whose it is."""

    body: bytes
    members: list[JsonMember]
    model: str
    user: ClassVar[None] = None
    continues: ClassVar[None] = None
    once: ClassVar[bool] = False

    def body_for(self, recipient: Recipient) -> bytes:
        """Return the body to send, under the recipient's name of the model."""
        return splice(self.body, put={"model": recipient.model_json}, known=self.members)


class ChatBody(PlainBody, frozen=True):
    """A chat. `answer_tokens` are those that its answer may have, 0 if it does not say."""

    stream: bool
    answer_tokens: int = 0
    answers: ClassVar[int] = 1


class VectorBody(PlainBody, frozen=True):
    """A request for vectors: no text is generated, and nothing is streamed."""

    stream: ClassVar[bool] = False
    answer_tokens: ClassVar[int] = 0
    answers: ClassVar[int] = 0

    def needs(self, *, prompt: bool = True) -> Needs:
        # Each of many inputs has a context of its own.
        return Needs()

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        raise TypeError("vectors are never streamed")
