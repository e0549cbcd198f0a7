"""The APIs for vectors, by the names of their dialects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..bedrock_invoke.cohere import InvokedCohere
from ..bedrock_invoke.titan import TitanVectors
from ..cohere.translated.embeddings import CohereEmbeddings
from ..gemini.translated.embeddings import GeminiEmbeddings
from ..ollama.translated.embeddings import OllamaEmbeddings
from ..openai_numbers.translated import OpenAIVectors
from .translation import EmbeddingApi

EMBEDDINGS: Final[Mapping[str, EmbeddingApi]] = {
    "openai_embeddings": OpenAIVectors(),
    "cohere_embed": CohereEmbeddings(),
    "gemini_batch_embed": GeminiEmbeddings(),
    "gemini_embed": GeminiEmbeddings(single=True),
    "ollama_embed": OllamaEmbeddings(),
    "bedrock_titan_embed": TitanVectors(),
    # Behind Cohere's own: who has both is asked by that.
    "bedrock_cohere_embed": InvokedCohere(),
}


def embedding_target(targets: Mapping[str, bytes]) -> EmbeddingApi | None:
    """Return the API in which a provider can be asked for vectors; None if it has none."""
    return next((api for api in EMBEDDINGS.values() if api.operation in targets), None)
