"""What a request that asks for a count asks about: a chat of some dialect."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ....errors import InvalidRequest
from ..base import Dialect, DialectRequest, ForeignRecipient
from ..bedrock_invoke.count_tokens import CountRequest
from ..canonical.fidelity import Untranslatable
from ..gemini.dialect import GEMINI, GEMINI_COUNT
from ..gemini.numbers import counted_content
from ..openai_responses.dialect import OPENAI_INPUT_TOKENS, OPENAI_RESPONSES
from ..translators import TRANSLATORS, translate
from .counter import CountedAt


class CountedChat(NamedTuple):
    """A request, and its dialect."""

    dialect: Dialect
    request: DialectRequest


class Countable(ForeignRecipient, Protocol):
    """What has to be known of a deployment that may count."""

    @property
    def counter(self) -> CountedAt | None: ...

    def counted_in(self, dialect: Dialect) -> ForeignRecipient:
        """Return it as it would be if it spoke `dialect`, for a count."""
        ...


def chat_of(request: DialectRequest, dialect: Dialect) -> CountedChat | None:
    """Return the chat whose tokens `request` asks for; None if it can't be taken apart."""
    try:
        if isinstance(request, CountRequest):
            return CountedChat(request.dialect, request.request)
        if dialect.name == GEMINI_COUNT.name:
            return CountedChat(GEMINI, counted_content(request.body, request.model))
        if dialect.name == OPENAI_INPUT_TOKENS.name:
            return CountedChat(OPENAI_RESPONSES, OPENAI_RESPONSES.read_request(request.body))
    except InvalidRequest:
        return None
    return CountedChat(dialect, request) if dialect.name in TRANSLATORS else None


def count_body(
    request: DialectRequest, dialect: Dialect, deployment: Countable, now: float
) -> bytes | None:
    """Return what `deployment`, which has a counter, is sent; None if it can't say the chat.

    What its API has no word for is left out: the count is the nearest that there is. `now` is Unix
    time.
    """
    assert deployment.counter is not None
    counter = deployment.counter.api
    chat = chat_of(request, dialect)
    if chat is None:
        return None
    if chat.dialect.name == counter.dialect.name:
        body = chat.request.body_for(deployment)
    else:
        recipient = deployment.counted_in(counter.dialect)
        try:
            body = translate(chat.request, chat.dialect, recipient, now).body_for(recipient)
        except (InvalidRequest, Untranslatable):
            return None
    return counter.body(body, deployment.model_json)
