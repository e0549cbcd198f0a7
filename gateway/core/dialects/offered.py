"""The dialects in which a person can have a conversation with a model, by a word for each."""

from __future__ import annotations

from typing import Final, NamedTuple

from .anthropic_messages.dialect import ANTHROPIC_MESSAGES
from .base import Dialect
from .openai_chat.dialect import OPENAI_CHAT
from .openai_responses.dialect import OPENAI_RESPONSES


class OfferedDialect(NamedTuple):
    word: str
    label: str
    dialect: Dialect


# In the order in which they are offered.
OFFERED: Final = (
    OfferedDialect("chat", "Chat", OPENAI_CHAT),
    OfferedDialect("messages", "Messages", ANTHROPIC_MESSAGES),
    OfferedDialect("responses", "Responses", OPENAI_RESPONSES),
)
