"""The translators of all dialects, and the way from one dialect to another.

The rest of the gateway knows no dialect by its name: it asks here whether a request can be sent in
the dialect of a deployment. `canonical/` explains how.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from .anthropic_messages.translated.translator import MessageTranslator
from .base import Dialect, DialectRequest, ForeignRecipient
from .canonical import translation
from .canonical.fidelity import Untranslatable
from .canonical.translation import TranslatedRequest, Translator
from .openai_chat.translated.translator import ChatTranslator
from .openai_responses.translated.translator import ResponseTranslator

__all__ = [
    "TRANSLATORS",
    "TranslatedRequest",
    "TranslationPolicy",
    "Unsupported",
    "Untranslatable",
    "translatable",
    "translate",
]

Unsupported = Literal["refuse", "drop"]


class TranslationPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What happens to what a provider's API cannot say: the request is refused, or it is left out.

    A model may say otherwise for its own routes.
    """

    unsupported: Unsupported = "refuse"


# By the names of dialects.
TRANSLATORS: Final[Mapping[str, Translator]] = {
    "openai_chat": ChatTranslator(),
    "anthropic_messages": MessageTranslator(),
    "openai_responses": ResponseTranslator(),
}


def translatable(dialect: Dialect, recipient: ForeignRecipient) -> bool:
    """Say whether there is a way from `dialect` to what `recipient` speaks."""
    return dialect.name in TRANSLATORS and recipient.dialect.name in TRANSLATORS


def translate(
    request: DialectRequest, dialect: Dialect, recipient: ForeignRecipient, now: float
) -> TranslatedRequest:
    """Return `request`, of `dialect`, as one that `recipient` takes, which speaks another.

    `now` is Unix time. Raises Untranslatable and InvalidRequest (400).
    """
    source = TRANSLATORS.get(dialect.name)
    target = TRANSLATORS.get(recipient.dialect.name)
    if source is None or target is None:
        raise Untranslatable("model", "its provider has no such operation")
    return translation.translate(request, source, target, recipient, now)
