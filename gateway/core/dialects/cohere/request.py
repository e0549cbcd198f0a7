"""A chat in Cohere's API: what of it concerns the gateway, and how it goes to a provider."""

from __future__ import annotations

from typing import ClassVar, Final

from ....errors import InvalidRequest
from ...wire.member_names import NameTable
from ..base import Answer, Recipient, StreamRewriter
from ..bodies.plain_body import ChatBody, NeedsReader
from ..bodies.request_body import flag_of, members_of_body, string_of
from ..bodies.token_limits import LIMIT_NAMES, read_token_limits
from .answer import rewrite_answer
from .needs import read_needs
from .stream import CohereStreamRewriter

# What limits, accounts and the debug log go by.
_READ: Final = NameTable(("model", "stream", "messages", *LIMIT_NAMES))


class CohereRequest(ChatBody, frozen=True):
    find_needs: ClassVar[NeedsReader] = staticmethod(read_needs)

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        return CohereStreamRewriter(max_event_bytes=max_event_bytes)

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        return rewrite_answer(body)


def parse_chat(body: bytes) -> CohereRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where."""
    found = members_of_body(body, _READ)
    values = {each.key: body[each.value_start : each.end] for each in found}
    model = string_of(values.get("model", b'""'), "model")
    if not model:
        raise InvalidRequest("invalid request: model is required", param="model")
    return CohereRequest(
        body=body,
        members=found,
        model=model,
        stream=flag_of(values.get("stream"), "stream"),
        answer_tokens=read_token_limits(values).max_tokens or 0,
    )
