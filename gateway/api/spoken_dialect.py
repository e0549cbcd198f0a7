"""Which API a caller speaks that asks for what all APIs have, or for nothing that there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from ..core.dialects.base import Dialect
from ..core.dialects.bedrock_converse.dialect import (
    BEDROCK_CONVERSE,
    LIST_PATH,
    MODEL_PATH,
    PROFILES_PATH,
    SERVICE,
    dialect_of_path,
)
from ..core.dialects.bedrock_invoke.dialect import invoked_by
from ..core.dialects.cohere.dialect import COHERE_CHAT
from ..core.dialects.gemini.dialect import GEMINI, METHODS, asked_by
from ..core.dialects.ollama.dialect import OLLAMA_CHAT
from ..core.dialects.openai_chat.dialect import OPENAI_CHAT
from .request import key_in_query

# Where Amazon's SDKs ask, which sign a request in place of showing a key, and for what.
SIGNED_PATHS: Final = (MODEL_PATH, LIST_PATH, PROFILES_PATH)
SIGNED_SERVICE: Final = SERVICE
# What speaks to a caller whose path says nothing of a dialect.
DEFAULT_DIALECT: Final = OPENAI_CHAT
# Only Google's clients send these.
_GOOGLE_HEADERS: Final = (b"x-goog-api-key", b"x-goog-api-client")
# What the paths of Gemini's API begin with, and how those of its methods end.
GOOGLE_PREFIXES: Final = ("/v1beta", "/v1alpha")
GOOGLE_METHODS: Final = tuple(f":{method}" for method in METHODS)
_MESSAGES: Final = "/messages"
_OLLAMA: Final = ("/api/chat", "/api/generate", "/api/embed", "/api/tags", "/api/show", "/api/ps")
_COHERE: Final = "/v2/"
# Which vendor's SDK it is that Fern has made: Cohere's for Python and for Node.
_FERN: Final = b"x-fern-sdk-name"
_FERN_NAMES: Final = (b"cohere", b"cohere-ai")
# Only Anthropic's clients send these, whichever path they ask for. Some send their key as a bearer
# token, so either is enough.
_ANTHROPIC_HEADERS: Final = (b"anthropic-version", b"x-api-key")


def dialect_of(  # noqa: PLR0911  # a row for each dialect
    path: str, headers: Mapping[bytes, bytes], query: bytes = b""
) -> Dialect:
    """Return what its path tells, else its headers, else the usual one."""
    if path.startswith(_OLLAMA):
        return OLLAMA_CHAT
    if path.startswith(_COHERE) or headers.get(_FERN) in _FERN_NAMES:
        return COHERE_CHAT
    if _MESSAGES in path:
        return ANTHROPIC_MESSAGES
    if path.startswith(GOOGLE_PREFIXES) or path.endswith(GOOGLE_METHODS):
        return asked_by(path, query) or GEMINI
    if path.startswith(SIGNED_PATHS):
        return dialect_of_path(path) or invoked_by(path) or BEDROCK_CONVERSE
    if any(name in headers for name in _ANTHROPIC_HEADERS):
        return ANTHROPIC_MESSAGES
    if any(name in headers for name in _GOOGLE_HEADERS) or key_in_query(query) is not None:
        return GEMINI
    return DEFAULT_DIALECT
