"""A request of Converse: what of it concerns the gateway, and how it goes to a provider.

Only the members that decide something are read. Everything else is the provider's business and
reaches it to the byte. The model and whether it streams stand in the path (`Asked`); a request that
is made of one in another dialect has them as members, which are taken out again.
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from ....errors import InvalidRequest
from ...wire.member_names import NameTable
from ...wire.splice import splice
from ..base import Answer, Recipient, StreamRewriter
from ..bodies.plain_body import ChatBody, NeedsReader
from ..bodies.request_body import flag_of, members_inside, members_of_body, string_of
from ..bodies.token_limits import read_token_limits
from .answer import rewrite_answer
from .foreign_state import without_foreign_state
from .needs import read_needs
from .stream import ConverseStreamRewriter

# In the path, and so in no body.
MODEL: Final = "modelId"
STREAM: Final = "stream"
_CONFIG: Final = "inferenceConfig"
_READ: Final = NameTable((MODEL, STREAM, _CONFIG, "messages", "system", "requestMetadata"))
_NAMED: Final = NameTable(("model",))
_READ_CONFIG: Final = NameTable(("maxTokens",))


class AskedModel(msgspec.Struct, frozen=True):
    """What a path says: the model, and whether it is to be streamed."""

    model: str
    stream: bool = False


class ConverseRequest(ChatBody, frozen=True):
    """What is read of a request."""

    find_needs: ClassVar[NeedsReader] = staticmethod(read_needs)
    asks_stream: ClassVar[str] = "converse-stream"

    def body_for(self, recipient: Recipient) -> bytes:
        """Return the body to send; the recipient's name of the model stands in its target."""
        body = splice(self.body, remove=(MODEL, STREAM), known=self.members)
        return without_foreign_state(body)

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        return ConverseStreamRewriter(max_event_bytes=max_event_bytes)

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        return rewrite_answer(body)


def parse_converse(body: bytes, asked: AskedModel | None = None) -> ConverseRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where.

    `asked` is what its path says; without it, the body does.
    """
    found = members_of_body(body, _READ)
    values = {member.key: body[member.value_start : member.end] for member in found}
    if asked is None:
        if MODEL not in values:
            raise InvalidRequest(f"{MODEL} is missing", param=MODEL)
        stream = flag_of(values.get(STREAM), STREAM)
        asked = AskedModel(string_of(values[MODEL], MODEL), stream)
    elif any(_NAMED[member.key] for member in found):
        # Whoever serves the same path beside Amazon may read it in the body.
        raise InvalidRequest("the model stands in the path", param="model")
    if not asked.model:
        raise InvalidRequest("the model must not be empty", param=MODEL)
    return ConverseRequest(
        body=body,
        members=found,
        model=asked.model,
        stream=asked.stream,
        answer_tokens=_limit(values.get(_CONFIG, b"null")),
    )


def _limit(config: bytes) -> int:
    if not config.startswith(b"{"):
        # What is of another form is the provider's to refuse.
        return 0
    raw = members_inside(config, _CONFIG, _READ_CONFIG).get("maxTokens", b"null")
    return read_token_limits({"max_tokens": raw}).max_tokens or 0
