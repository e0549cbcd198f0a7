"""A request for a response: what of it concerns the gateway, and how it goes to a provider.

Instructions, input items, tools and all else reach the provider to the byte.
"""

from __future__ import annotations

from typing import ClassVar, Final

from ....errors import InvalidRequest
from ...wire.member_names import NameTable
from ...wire.splice import splice
from ..base import Answer, Recipient, StreamRewriter
from ..bodies.plain_body import ChatBody, NeedsReader
from ..bodies.request_body import flag_of, members_inside, members_of_body, string_of
from ..bodies.token_limits import LIMIT_NAMES, read_token_limits
from ..canonical.foreign_state import without_foreign_state
from .answer import rewrite_response
from .event import text_of
from .needs import read_needs
from .stream import ResponsesStreamRewriter

# Who a request is made for; the first is the newer name (platform.openai.com/docs/api-reference).
_USERS: Final = ("safety_identifier", "user")
# What a request goes on from, if its provider keeps responses.
_CONTINUES: Final = ("previous_response_id", "conversation")
_NULL: Final = b"null"
# What limits, accounts, the homes of kept answers and the debug log go by.
_READ: Final = NameTable(
    (
        *("model", "stream", "input", "instructions", "store", "background"),
        *(*_USERS, *_CONTINUES, *LIMIT_NAMES),
    )
)
_READ_ID: Final = NameTable(("id",))
# What ids of responses begin with that the gateway makes, for providers of other dialects.
OWN: Final = "resp_gw"


class ResponsesRequest(ChatBody, frozen=True, kw_only=True):
    """`once`: it adds to a conversation, or goes on at the provider when its caller has left.

    `asked` is what the caller has sent, if the body is another (`keeping.py`), and `kept` says that
    the gateway keeps the answer if its provider does not.
    """

    asked: bytes = b""
    kept: bool = False
    find_needs: ClassVar[NeedsReader] = staticmethod(read_needs)

    def body_for(self, recipient: Recipient) -> bytes:
        body = splice(self.body, put={"model": recipient.model_json}, known=self.members)
        return without_foreign_state(body)

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        return ResponsesStreamRewriter(name, max_event_bytes=max_event_bytes)

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        return rewrite_response(body, name)


def parse_responses(body: bytes) -> ResponsesRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where."""
    found = members_of_body(body, _READ)
    values = {member.key: body[member.value_start : member.end] for member in found}
    if values.get("model", _NULL) == _NULL:
        raise InvalidRequest("you must provide a model parameter", param="model")
    model = string_of(values["model"], "model")
    if not model:
        raise InvalidRequest("model must not be empty", param="model")
    users = [values[name] for name in _USERS if values.get(name, b"").startswith(b'"')]
    continues = [_id(values[name], name) for name in _CONTINUES if values.get(name, _NULL) != _NULL]
    return ResponsesRequest(
        body=body,
        members=found,
        model=model,
        stream=flag_of(values.get("stream"), "stream"),
        user=string_of(users[0], "user") if users else None,
        answer_tokens=read_token_limits(values).max_tokens or 0,
        continues=next(filter(None, continues), None),
        once=values.get("conversation", _NULL) != _NULL or values.get("background") == b"true",
    )


def _id(raw: bytes, name: str) -> str:
    """Return the id in the member `name`, which is a string or an object that has it."""
    if raw.startswith(b"{"):
        raw = members_inside(raw, name, _READ_ID).get("id", _NULL)
    return text_of(raw)
