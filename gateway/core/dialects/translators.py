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
from .bedrock_converse.translated.translator import ConverseTranslator
from .bodies.items import check_items
from .canonical import translation
from .canonical.fidelity import Untranslatable
from .canonical.translation import TranslatedRequest, Translator
from .cohere.translated.translator import CohereTranslator
from .embeddings.apis import EMBEDDINGS, embedding_target
from .embeddings.translation import EmbeddingRecipient, TranslatedEmbedding, translate_embedding
from .gemini.translated.translator import GeminiTranslator
from .ollama.translated.translator import OllamaTranslator
from .openai_chat.translated.translator import ChatTranslator
from .openai_responses.translated.translator import ResponseTranslator
from .rerank.apis import RANKINGS, rank_target
from .rerank.translation import TranslatedRanking, translate_ranking

__all__ = [
    "TRANSLATORS",
    "Translated",
    "TranslatedEmbedding",
    "TranslatedRequest",
    "TranslationPolicy",
    "Unsupported",
    "Untranslatable",
    "check_items",
    "translatable",
    "translate",
    "translate_any",
]

# What is sent to a deployment that speaks another dialect than the caller.
Translated = TranslatedRequest | TranslatedEmbedding | TranslatedRanking
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
    "ollama_chat": OllamaTranslator(),
    "ollama_generate": OllamaTranslator(generate=True),
    "bedrock_converse": ConverseTranslator(),
    "gemini": GeminiTranslator(),
    "cohere_chat": CohereTranslator(),
}


def translatable(dialect: Dialect, recipient: EmbeddingRecipient) -> bool:
    """Say whether there is a way from `dialect` to what `recipient` speaks."""
    if dialect.name in EMBEDDINGS:
        return embedding_target(recipient.targets) is not None
    if dialect.name in RANKINGS:
        return rank_target(recipient.targets) is not None
    return dialect.name in TRANSLATORS and recipient.dialect.name in TRANSLATORS


def translate(
    request: DialectRequest, dialect: Dialect, recipient: ForeignRecipient, now: float
) -> TranslatedRequest:
    """Return a chat, of `dialect`, as one that `recipient` takes, which speaks another.

    `now` is Unix time. Raises Untranslatable and InvalidRequest (400).
    """
    source = TRANSLATORS.get(dialect.name)
    target = TRANSLATORS.get(recipient.dialect.name)
    if source is None or target is None:
        raise Untranslatable("model", "its provider has no such operation")
    return translation.translate(request, source, target, recipient, now)


def translate_any(
    request: DialectRequest, dialect: Dialect, recipient: EmbeddingRecipient, now: float
) -> Translated:
    """Return a chat, or a request for vectors or ranks, for `recipient`, as `translate` does."""
    if (ranking := RANKINGS.get(dialect.name)) is not None:
        ranks = rank_target(recipient.targets)
        if ranks is None:
            raise Untranslatable("model", "its provider makes no ranks")
        return translate_ranking(request, ranking, ranks, recipient)
    asked = EMBEDDINGS.get(dialect.name)
    if asked is None:
        return translate(request, dialect, recipient, now)
    vectors = embedding_target(recipient.targets)
    if vectors is None:
        raise Untranslatable("model", "its provider makes no vectors")
    model, drops = recipient.model_json, recipient.drops
    return translate_embedding(request, asked, vectors, model, drops=drops)
