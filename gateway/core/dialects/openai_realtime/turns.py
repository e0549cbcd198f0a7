"""The messages of a Responses session: `response.create`, and the events of one stream behind it.

One answer is under way at a time (developers.openai.com/api/docs/guides/websocket-mode). The events
are those of the stream over HTTP.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ....errors import InvalidRequest
from ...records.usage import Usage
from ...wire.member_names import NameTable
from ..base import Recipient
from ..bodies.request_body import members_of_body, string_of
from ..openai_responses.event import ENDS, FAILED, ResponseMembers, kept_ids, read_response
from ..openai_responses.request import ResponsesRequest, parse_responses
from ..openai_responses.searches import searches_in
from ..sessions.base import CallerMessage, ProviderMessage
from .events import event_of
from .usage import session_usage

ASKS: Final = "response.create"
_BEGINS: Final = "response.created"
_ERROR: Final = "error"
_READ: Final = NameTable(("type",))
_ENDS: Final = ENDS | {FAILED}
_HEARD: Final = ProviderMessage()


def request_of(text: str) -> ResponsesRequest | None:
    """Return what a message asks of a model; None if it asks nothing. Raises InvalidRequest."""
    body = text.encode()
    found = members_of_body(body, _READ)
    given = next((body[each.value_start : each.end] for each in found if each.key == "type"), b"")
    if not given or string_of(given, "type") != ASKS:
        return None
    return parse_responses(body)


class ResponsesTalk:
    """A session with `recipient`, whose caller calls its model `name`."""

    def __init__(self, name: str, recipient: Recipient) -> None:
        self.working = False
        self.events = 0
        self.answers: list[Usage] = []
        self.uncounted = False
        self._name = name
        self._recipient = recipient

    def __repr__(self) -> str:
        state = "working" if self.working else "waiting"
        return f"<ResponsesTalk {state}, {len(self.answers)} answers>"

    def from_caller(self, text: str) -> CallerMessage:
        request = request_of(text)
        if request is None:
            return CallerMessage()
        if request.model != self._name:
            # The code at which Codex opens another connection and asks there.
            raise InvalidRequest(
                f"this connection is one with the model {self._name!r}; open another for"
                f" {request.model[:100]!r}",
                param="model",
                code="websocket_connection_limit_reached",
            )
        self.working = True
        sent = request.body_for(self._recipient)
        return CallerMessage(
            asks=True,
            request=request,
            text=None if sent == request.body else sent.decode(),
        )

    def from_provider(self, text: str) -> ProviderMessage:
        self.events += 1
        event = event_of(text)
        if event is None:
            return _HEARD
        if event.type == _ERROR:
            self.working = False
            return ProviderMessage(fails=True)
        if event.type == _BEGINS:
            return ProviderMessage(kept=kept_ids(read_response(event.response)))
        if event.type in _ENDS:
            self.working = False
            response = read_response(event.response)
            self._count(response)
            return ProviderMessage(kept=kept_ids(response))
        return _HEARD

    def _count(self, response: ResponseMembers) -> None:
        raw = response.usage
        usage = None if isinstance(raw, msgspec.UnsetType) else session_usage(raw)
        if usage is None:
            self.uncounted = True
        else:
            self.answers.append(usage.with_searches(searches_in(response.output)))
