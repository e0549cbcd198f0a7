"""The dialects of Ollama's API, their parts put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ....errors import GatewayError
from ..base import Dialect, DialectRequest, HeaderList, ModelEntry, StreamRewriter
from ..error_words import read_error
from . import errors, models
from .embed import parse_embed
from .request import parse_ollama


class OllamaDialect:
    """What all operations of the API have in common."""

    name: str
    operation: str
    path: str
    # An empty line: clients read line by line and pass over it (ollama-python `_client.py`).
    keep_alive = b"\n"
    stream_headers = (
        (b"content-type", b"application/x-ndjson"),
        (b"cache-control", b"no-cache"),
        # nginx buffers answers unless told otherwise (ngx_http_proxy_module, proxy_buffering).
        (b"x-accel-buffering", b"no"),
    )
    stream_marks = frozenset[bytes]()
    provider_headers = frozenset[bytes]()
    answer_headers = ((b"content-type", b"application/json"),)
    limit_headers = frozenset[bytes]()
    id_headers: tuple[bytes, ...] = ()
    opens_once = False
    closes_failed = True

    def __repr__(self) -> str:
        return f"<Dialect {self.name}>"

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

    def token_count(self, tokens: int) -> bytes:
        raise NotImplementedError("the API counts no tokens")

    def target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        return base_path + self.path.encode("ascii")

    def count_target(self, base_path: bytes, model: str) -> bytes | None:
        return None

    def error_status(self, body: bytes) -> int | None:
        return None

    def read_error(self, body: bytes) -> str:
        return read_error(body)


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
