"""A chat completion request: what of it concerns the gateway, and how it goes to a provider.

Only the members that decide something are read. Everything else is the provider's business
and reaches it to the byte: unknown fields survive, and prompt caches, which hash the body's
prefix, keep hitting.
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
from ..bodies.token_limits import LIMIT_NAMES, read_token_limits
from ..canonical.foreign_state import without_foreign_state
from .answer import rewrite_answer
from .needs import read_needs
from .stream import ChatStreamRewriter

_INCLUDE_USAGE: Final = b'{"include_usage":true}'
_TRUE: Final = b"true"
# What limits, accounts and the debug log go by.
_READ: Final = NameTable(
    ("model", "stream", "stream_options", "user", "messages", "prompt", "echo", *LIMIT_NAMES)
)
_READ_OPTIONS: Final = NameTable(("include_usage",))


class ChatRequest(ChatBody, frozen=True, kw_only=True):
    """`wants_usage`: the client asked for usage in its stream. `usage_options` is the client's
    `stream_options` with usage asked for."""

    wants_usage: bool
    usage_options: bytes
    searches: bool = False
    find_needs: ClassVar[NeedsReader] = staticmethod(read_needs)

    def body_for(self, recipient: Recipient) -> bytes:
        """Return the body to send: the recipient's model name, and usage asked for in streams.

        The gateway accounts for every stream, so it asks for usage even if the client did not;
        the rewriter takes out of the answer what the client did not ask for. Nothing is parsed
        here any more, so nothing that a client sends can fail here.
        """
        put = {"model": recipient.model_json}
        if self.stream and recipient.stream_usage and not self.wants_usage:
            put["stream_options"] = self.usage_options
        return without_foreign_state(splice(self.body, put=put, known=self.members))

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        return ChatStreamRewriter(
            name,
            keep_usage=self.wants_usage,
            max_event_bytes=max_event_bytes,
            asked_usage=self.wants_usage or (self.stream and recipient.stream_usage),
            choices=self.answers,
            usage_rule=recipient.usage_rule,
            searches=self.searches,
        )

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        found = rewrite_answer(body, name, self.answers, usage_rule=recipient.usage_rule)
        if self.searches and found.usage is not None:
            # How often, the API does not say.
            return msgspec.structs.replace(found, usage=found.usage.with_searches(None))
        return found


def parse_chat(body: bytes) -> ChatRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where."""
    found = members_of_body(body, _READ)
    values = {member.key: body[member.value_start : member.end] for member in found}
    if "model" not in values:
        raise InvalidRequest("you must provide a model parameter", param="model")
    model = string_of(values["model"], "model")
    if not model:
        raise InvalidRequest("model must not be empty", param="model")
    stream = flag_of(values.get("stream"), "stream")
    usage_options, wants_usage = _stream_options(values.get("stream_options"))
    user = values.get("user", b"null")
    limits = read_token_limits(values)
    return ChatRequest(
        body=body,
        members=found,
        model=model,
        stream=stream,
        wants_usage=wants_usage,
        usage_options=usage_options,
        user=string_of(user, "user") if user.startswith(b'"') else None,
        answer_tokens=(limits.max_tokens or 0) * limits.n,
        answers=limits.n,
        searches=values.get("web_search_options", b"null") != b"null",
    )


def _stream_options(raw: bytes | None) -> tuple[bytes, bool]:
    """Return the options with usage asked for, and whether the client asked for it itself."""
    if raw is None or raw == b"null":
        return _INCLUDE_USAGE, False
    if raw == _INCLUDE_USAGE:
        # As every SDK writes it.
        return raw, True
    if not raw.startswith(b"{"):
        raise InvalidRequest("stream_options must be an object", param="stream_options")
    # A second `include_usage`, or one in other letters, could switch off the report of usage.
    include = members_inside(raw, "stream_options", _READ_OPTIONS).get("include_usage", b"null")
    if include not in (_TRUE, b"false", b"null"):
        raise InvalidRequest(
            "stream_options.include_usage must be true or false", param="stream_options"
        )
    if include == _TRUE:
        return raw, True
    return splice(raw, put={"include_usage": _TRUE}), False
