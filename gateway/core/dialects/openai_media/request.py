"""A request for images or sound: which model it asks, and how it goes to a provider."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from ....errors import InvalidRequest
from ...wire.member_names import NameTable
from ...wire.splice import JsonMember, splice
from ..base import Answer, Recipient, StreamRewriter
from ..bodies.request_body import members_of_body, string_of
from ..needs import Needs

_READ: Final = NameTable(("model", "user", "stream", "stream_format"))
_DECIDING: Final = ("model", "user", "stream", "stream_format")


class MediaRequest(msgspec.Struct, frozen=True):
    """A request with a JSON body. `stream` only says what its record says."""

    body: bytes
    members: list[JsonMember]
    model: str
    user: str | None = None
    stream: bool = False
    # No tokens of text are generated.
    answer_tokens: int = 0
    answers: int = 0
    continues: ClassVar[None] = None
    once: ClassVar[bool] = False

    def needs(self, *, prompt: bool = True) -> Needs:
        return Needs()

    def body_for(self, recipient: Recipient) -> bytes:
        """Return the body to send, with the recipient's model name, which may be the first."""
        return splice(self.body, put={"model": recipient.model_json}, known=self.members)

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        raise TypeError("its answers are passed on as they come")

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        raise TypeError("its answers are passed on as they come")


def parse_media(body: bytes, default_model: str = "") -> MediaRequest:
    """Read a JSON body. Raises InvalidRequest (400) with what is wrong and where."""
    found = members_of_body(body, _READ)
    values = {
        each.key: body[each.value_start : each.end] for each in found if each.key in _DECIDING
    }
    model = string_of(values["model"], "model") if "model" in values else default_model
    if not model:
        raise InvalidRequest("you must provide a model parameter", param="model")
    user = values.get("user", b"null")
    return MediaRequest(
        body=body,
        members=found,
        model=model,
        user=string_of(user, "user") if user.startswith(b'"') else None,
        stream=values.get("stream") == b"true" or values.get("stream_format") == b'"sse"',
    )
