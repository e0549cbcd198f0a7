"""The dialects of Ollama's API, their parts put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ....errors import GatewayError
from ..base import Dialect, DialectRequest, HeaderList, ModelEntry, StreamRewriter
from ..defaults.plain_dialect import PlainDialect, headers_of
from . import errors, models
from .embed import parse_embed
from .request import parse_ollama


class OllamaDialect(PlainDialect):
    """What all operations of the API have in common."""

    # An empty line: clients read line by line and pass over it (ollama-python `_client.py`).
    keep_alive = b"\n"
    stream_headers = headers_of(b"application/x-ndjson")
    closes_failed = True

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_ollama(body)

    def error_reply(self, error: GatewayError, request_id: str = "") -> tuple[HeaderList, bytes]:
        return errors.error_reply(error)

    def error_event(
        self, message: str, code: str, kind: str, after: StreamRewriter | None = None
    ) -> bytes:
        return errors.error_line(message, code)

    def relayed_error_event(self, data: bytes, after: StreamRewriter | None = None) -> bytes:
        return data.strip() + b"\n"

    def refusal_body(self, status: int, message: str, *, too_long: bool) -> bytes:
        return errors.error_body(message, "context_length_exceeded" if too_long else None)

    def model_list(self, entries: Sequence[ModelEntry], query: str = "") -> bytes:
        return models.model_list(entries)

    def model_entry(self, entry: ModelEntry) -> bytes:
        return models.model_shown(entry)


class OllamaChat(OllamaDialect):
    """`POST /api/chat`."""

    name = "ollama_chat"
    operation = "chat"
    path = "/api/chat"


class OllamaGenerate(OllamaDialect):
    """`POST /api/generate`: an answer to one prompt."""

    name = "ollama_generate"
    operation = "completions"
    path = "/api/generate"


class OllamaEmbed(OllamaDialect):
    """`POST /api/embed`."""

    name = "ollama_embed"
    operation = "embeddings"
    path = "/api/embed"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_embed(body)


OLLAMA_CHAT: Final[Dialect] = OllamaChat()
OLLAMA_GENERATE: Final[Dialect] = OllamaGenerate()
OLLAMA_EMBED: Final[Dialect] = OllamaEmbed()
