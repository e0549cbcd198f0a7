"""A request for which no text is generated, so that nothing of its answer is streamed."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ...wire.json_scan import JsonMember
from ..base import DialectRequest, Recipient, StreamRewriter
from ..needs import Needs


class TextlessRequest(msgspec.Struct, frozen=True):
    """The part of a `DialectRequest` that follows from this. `request` is what the caller sent."""

    request: DialectRequest
    stream: ClassVar[bool] = False
    answer_tokens: ClassVar[int] = 0
    answers: ClassVar[int] = 0
    continues: ClassVar[None] = None
    once: ClassVar[bool] = False

    @property
    def body(self) -> bytes:
        return self.request.body

    @property
    def members(self) -> list[JsonMember]:
        return self.request.members

    @property
    def model(self) -> str:
        return self.request.model

    @property
    def user(self) -> str | None:
        return self.request.user

    def needs(self, *, prompt: bool = True) -> Needs:
        return self.request.needs(prompt=prompt)

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        raise TypeError("the answer is never streamed")
