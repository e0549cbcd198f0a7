"""The dialects of Gemini's API, their parts put together, and which path asks for which.

    POST [/v1beta]/models/MODEL:METHOD

Model and method stand in the path, behind any version or none: google-genai asks for `/v1beta`,
Gemini CLI and LiteLLM for `/v1` or for no version, by how they are set up. So a dialect is made for
each request; `GEMINI` and the others without a model are for deployments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from ....errors import GatewayError
from ...records.record import COUNT_TOKENS
from ..base import Dialect, DialectRequest, HeaderList, ModelEntry, StreamRewriter
from ..canonical.translated_stream import TranslatedStream
from ..defaults.plain_dialect import PlainDialect, headers_of
from . import errors, models
from .framing import Framing
from .models import resource_name
from .numbers import parse_numbers
from .request import PathCall, parse_content
from .stream import GeminiStreamRewriter
from .translated.event_writer import GeminiEventWriter

# A base URL may have a version, and SDKs add one of their own.
_PATH: Final = re.compile(
    r"(?:/v1(?:alpha|beta)?\d?){0,2}/(models|tunedModels)/(.+):([A-Za-z]+)", re.DOTALL
)
_VERSIONED: Final = re.compile(rb"/v\d+(?:alpha|beta)?\d*(?:/|\Z)")
_VERSION: Final = b"/v1beta"
# RFC 3986 section 3.3: what stands in a path as it is. Names of models have slashes.
_UNQUOTED: Final = "/@$&+=,;!'()*~"
_NO_MODEL: Final = PathCall("")
_JSON: Final = b"application/json; charset=UTF-8"
_ARRAY: Final = headers_of(_JSON)
_EVENTS: Final = headers_of(b"text/event-stream")


class GeminiDialect(PlainDialect):
    """What all methods have in common. `asked` is what the path says, which is `path`.

    With what its query says of the framing, and nothing else: keys stand there, too.
    """

    method: str
    # Between events this is nothing to readers of SSE and to those of JSON. A comment is no way:
    # google-genai takes one for an event (its `_api_client.py`).
    keep_alive = b"\n\n"
    provider_headers = frozenset({b"x-gemini-service-tier", b"server-timing"})
    answer_headers = ((b"content-type", _JSON),)
    # Google's answers have no headers for limits, and counts are requests of their own here
    # (`GEMINI_COUNT`).

    def __init__(self, asked: PathCall = _NO_MODEL, path: str = "") -> None:
        self._asked = asked
        self.path = path or f"/v1beta/models/MODEL:{self.method}"
        # The beginning of an array is an event that there is one of.
        self.opens_once = self.closes_failed = asked.array
        self.stream_headers = _ARRAY if asked.array else _EVENTS

    def __repr__(self) -> str:
        return f"<Dialect {self.name} {self._asked.model!r}>"

    def error_reply(self, error: GatewayError, request_id: str = "") -> tuple[HeaderList, bytes]:
        return errors.error_reply(error, request_id)

    def error_event(
        self, message: str, code: str, kind: str, after: StreamRewriter | None = None
    ) -> bytes:
        return self._framing(after).failure(errors.stream_error(message, code))

    def relayed_error_event(self, data: bytes, after: StreamRewriter | None = None) -> bytes:
        return self._framing(after).failure(errors.relayed_error(data))

    def refusal_body(self, status: int, message: str, *, too_long: bool) -> bytes:
        return errors.error_body(status, errors.too_long(message) if too_long else message)

    def model_list(self, entries: Sequence[ModelEntry], query: str = "") -> bytes:
        return models.model_list(entries, query)

    def model_entry(self, entry: ModelEntry) -> bytes:
        return models.model_entry(entry)

    def token_count(self, tokens: int) -> bytes:
        return b'{"totalTokens":%d}' % tokens

    def target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        name = quote(resource_name(model), safe=_UNQUOTED)
        return b"%b/%b:%b" % (versioned(base_path), name.encode(), self._method(stream=stream))

    def error_status(self, body: bytes) -> int | None:
        return errors.error_status(body)

    def _method(self, *, stream: bool) -> bytes:
        return self.method.encode()

    def _framing(self, after: StreamRewriter | None) -> Framing:
        """Return what has framed the events so far."""
        if isinstance(after, GeminiStreamRewriter):
            return after.framing
        if isinstance(after, TranslatedStream) and isinstance(after.writer, GeminiEventWriter):
            return after.writer.framing
        return Framing(array=self._asked.array)


class GeminiContent(GeminiDialect):
    """`generateContent` and `streamGenerateContent`: what is asked in one is answered in both."""

    name = "gemini"
    # OpenTelemetry's name of it (semantic conventions for generative AI, `gen_ai.operation.name`).
    operation = "generate_content"
    method = "generateContent"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_content(body, self._asked if self._asked.model else None)

    def _method(self, *, stream: bool) -> bytes:
        return b"streamGenerateContent?alt=sse" if stream else b"generateContent"


class GeminiCount(GeminiDialect):
    """`countTokens`: how many tokens a prompt has."""

    name = "gemini_count_tokens"
    operation = COUNT_TOKENS
    method = "countTokens"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_numbers(body, self._asked.model, ("totalTokens",))


class GeminiEmbedding(GeminiDialect):
    """`embedContent`: a text in, a vector out."""

    name = "gemini_embed"
    operation = "embeddings"
    method = "embedContent"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_numbers(body, self._asked.model, ("embedding", "embeddings"))


class GeminiBatchEmbedding(GeminiEmbedding):
    """`batchEmbedContents`: texts in, vectors out."""

    name = "gemini_batch_embed"
    method = "batchEmbedContents"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_numbers(body, self._asked.model, ("embeddings",))


GEMINI: Final[Dialect] = GeminiContent()
GEMINI_COUNT: Final[Dialect] = GeminiCount()
GEMINI_EMBED: Final[Dialect] = GeminiEmbedding()
GEMINI_BATCH_EMBED: Final[Dialect] = GeminiBatchEmbedding()

_METHODS: Final[dict[str, Callable[[PathCall, str], Any]]] = {
    "generateContent": GeminiContent,
    "streamGenerateContent": GeminiContent,
    "countTokens": GeminiCount,
    "embedContent": GeminiEmbedding,
    "batchEmbedContents": GeminiBatchEmbedding,
}
METHODS: Final = tuple(_METHODS)


def asked_by(path: str, query: bytes = b"") -> Dialect | None:
    """Return what a path asks for, `GEMINI` with its model for one; None if no such method.

    `path` is percent-decoded. Names of models may have slashes and colons.
    """
    match = _PATH.fullmatch(path)
    if match is None or match[3] not in _METHODS:
        return None
    kind, model, method = match.groups()
    # `models/` is what every name may begin with (google-genai, `_transformers.py`, t_model).
    model = model.removeprefix("models/") if kind == "models" else f"{kind}/{model}"
    stream = method == "streamGenerateContent"
    array = stream and not _is_sse(query)
    if stream and not array:
        path += "?alt=sse"
    found: Dialect = _METHODS[method](PathCall(model, stream, array), path)
    return found


def versioned(base_path: bytes) -> bytes:
    """Return the path of a base URL with a version of the API, if it has none."""
    return base_path if _VERSIONED.search(base_path) else base_path + _VERSION


def _is_sse(query: bytes) -> bool:
    if query == b"alt=sse":
        return True
    pairs = parse_qsl(query.decode("latin-1"))
    return any(name.lstrip("$") == "alt" and value.lower() == "sse" for name, value in pairs)
