"""A request for numbers: which model it asks, and how it goes to a provider.

Input, `encoding_format`, `dimensions` and all else reach the provider to the byte.
"""

from __future__ import annotations

from typing import Final

from ....errors import InvalidRequest
from ...wire.member_names import NameTable
from ..base import Answer, Recipient
from ..bodies.plain_body import TextlessBody
from ..bodies.request_body import members_of_body, string_of
from .answer import rewrite_numbers

_READ: Final = NameTable(("model", "user", "input", "stream"))


class NumbersRequest(TextlessBody, frozen=True, kw_only=True):
    """A request for embeddings or moderations. `holder` names the answer's member with them."""

    holder: str

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
