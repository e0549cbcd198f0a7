"""A request for numbers: which model it asks, and how it goes to a provider.

Input, `encoding_format`, `dimensions` and all else reach the provider to the byte.
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from ....errors import InvalidRequest
from ...wire.member_names import NameTable
from ...wire.splice import JsonMember, splice
from ..base import Answer, Recipient, StreamRewriter
from ..bodies.request_body import members_of_body, string_of
from ..needs import Needs
from .answer import rewrite_numbers

_READ: Final = NameTable(("model", "user", "input", "stream"))


class NumbersRequest(msgspec.Struct, frozen=True):
    """A request for embeddings or moderations. `holder` names the answer's member with them."""

    body: bytes
    members: list[JsonMember]
    model: str
    holder: str
    user: str | None = None
    stream: bool = False
    # No text is generated.
    answer_tokens: int = 0
    answers: int = 0
    continues: ClassVar[None] = None
    once: ClassVar[bool] = False

    def needs(self, *, prompt: bool = True) -> Needs:
        # Each of many inputs has a context of its own.
        return Needs()

    def body_for(self, recipient: Recipient) -> bytes:
        """Return the body to send, with the recipient's model name, which may be the first."""
        return splice(self.body, put={"model": recipient.model_json}, known=self.members)

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        raise TypeError("numbers are never streamed")

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        return rewrite_numbers(body, name, self.holder)


def parse_numbers(body: bytes, holder: str, default_model: str = "") -> NumbersRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where."""
    found = members_of_body(body, _READ)
    # The input may be large, and is of no interest here.
    read = ("model", "user")
    values = {each.key: body[each.value_start : each.end] for each in found if each.key in read}
    if "model" not in values and not default_model:
        raise InvalidRequest("you must provide a model parameter", param="model")
    model = string_of(values["model"], "model") if "model" in values else default_model
    if not model:
        raise InvalidRequest("model must not be empty", param="model")
    user = values.get("user", b"null")
    return NumbersRequest(
        body=body,
        members=found,
        model=model,
        holder=holder,
        user=string_of(user, "user") if user.startswith(b'"') else None,
    )
