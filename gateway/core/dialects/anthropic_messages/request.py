"""A request for a message: what of it concerns the gateway, and how it goes to a provider.

Only the members that decide something are read. Everything else is the provider's business and
reaches it to the byte: Claude Code's prompt caches hash the body's beginning, and its first
`system` block is read by its place.
"""

from __future__ import annotations

from typing import ClassVar, Final

from ....errors import InvalidRequest
from ...wire.json_scan import NOTHING
from ...wire.member_names import NameTable
from ...wire.splice import splice
from ..base import Answer, Recipient, StreamRewriter
from ..bodies.plain_body import ChatBody, NeedsReader
from ..bodies.request_body import flag_of, members_inside, members_of_body, string_of
from ..bodies.token_limits import LIMIT_NAMES, read_token_limits
from ..canonical.foreign_state import without_foreign_state
from .answer import rewrite_answer
from .needs import read_needs
from .stream import MessageStreamRewriter

# What limits, accounts and the debug log go by.
_READ: Final = NameTable(("model", "stream", "metadata", "messages", "system", *LIMIT_NAMES))
_READ_METADATA: Final = NameTable(("user_id",))


class MessageRequest(ChatBody, frozen=True):
    """What is read of a request; `user` is its `metadata.user_id`."""

    find_needs: ClassVar[NeedsReader] = staticmethod(read_needs)

    def body_for(self, recipient: Recipient) -> bytes:
        """Return the body to send, under the recipient's name of the model."""
        body = splice(self.body, put={"model": recipient.model_json}, known=self.members)
        return without_foreign_state(body)

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        return MessageStreamRewriter(name, max_event_bytes=max_event_bytes)

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        return rewrite_answer(body, name)


def parse_messages(body: bytes) -> MessageRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where."""
    found = members_of_body(body, _READ)
    values = {member.key: body[member.value_start : member.end] for member in found}
    if "model" not in values:
        raise InvalidRequest("model: Field required", param="model")
    model = string_of(values["model"], "model")
    if not model:
        raise InvalidRequest("model must not be empty", param="model")
    return MessageRequest(
        body=body,
        members=found,
        model=model,
        stream=flag_of(values.get("stream"), "stream"),
        user=_user(values.get("metadata", b"null")),
        answer_tokens=read_token_limits(values).max_tokens or 0,
    )


def _user(metadata: bytes) -> str | None:
    if metadata in NOTHING or not metadata.startswith(b"{"):
        # What is of another form is the provider's to refuse.
        return None
    user = members_inside(metadata, "metadata", _READ_METADATA).get("user_id", b"null")
    try:
        return string_of(user, "metadata.user_id") if user.startswith(b'"') else None
    except InvalidRequest:
        return None
