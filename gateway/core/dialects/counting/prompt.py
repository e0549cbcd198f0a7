"""The text of a request that asks for a count."""

from __future__ import annotations

from ....errors import InvalidRequest
from ...limits.prompt_text import PromptText
from ..base import Dialect, DialectRequest
from ..canonical.fidelity import Fidelity, Untranslatable
from ..translators import TRANSLATORS
from .asked import chat_of
from .plain_text import plain_text


def prompt_of(request: DialectRequest, dialect: Dialect) -> PromptText | None:
    """Return the text of a request that asks for a count; None if it can't be taken apart."""
    chat = chat_of(request, dialect)
    if chat is None:
        return None
    source = TRANSLATORS[chat.dialect.name]
    try:
        return plain_text(source.read_call(chat.request, Fidelity(drop=True)))
    except (InvalidRequest, Untranslatable):
        return None
