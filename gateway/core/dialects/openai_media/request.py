"""A request for images or sound: which model it asks, and how it goes to a provider."""

from __future__ import annotations

from typing import Final

from ....errors import InvalidRequest
from ...wire.member_names import NameTable
from ..base import Answer, Recipient
from ..bodies.plain_body import TextlessBody
from ..bodies.request_body import members_of_body, string_of

_READ: Final = NameTable(("model", "user", "stream", "stream_format"))
_DECIDING: Final = ("model", "user", "stream", "stream_format")


class MediaRequest(TextlessBody, frozen=True):
    """A request with a JSON body. `stream` only says what its record says."""

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
