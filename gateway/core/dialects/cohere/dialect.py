"""The dialects of Cohere's API, their parts put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ....errors import GatewayError
from ..base import Dialect, DialectRequest, HeaderList, ModelEntry, StreamRewriter
from ..defaults.plain_dialect import PlainDialect
from ..rerank.request import parse_rerank
from . import errors, models
from .embed import parse_embed
from .request import parse_chat
from .stream import DONE


class CohereDialect(PlainDialect):
    """What all operations of the API have in common."""

    # Readers of SSE pass over a comment (cohere-python `core/http_sse`).
    keep_alive = b": keep-alive\n\n"
    stream_marks = frozenset({DONE})
    provider_headers = frozenset({b"x-debug-trace-id"})
    # docs.cohere.com/docs/rate-limits, of calls with a trial key.
    limit_headers = frozenset(
        {b"x-trial-endpoint-call-limit", b"x-trial-endpoint-call-remaining"}
        | {b"x-endpoint-monthly-call-limit"}
    )
    # Clients take the id of the answer from its first event, `message-start`.
    opens_once = True
    # No SDK raises at an error's event, so a stream that ended in order would pass for whole.
    closes_failed = False

    def error_reply(self, error: GatewayError, request_id: str = "") -> tuple[HeaderList, bytes]:
        return errors.error_reply(error, request_id)

    def error_event(
        self, message: str, code: str, kind: str, after: StreamRewriter | None = None
    ) -> bytes:
        return errors.error_event(message)

    def relayed_error_event(self, data: bytes, after: StreamRewriter | None = None) -> bytes:
        return errors.relayed_error_event(data)

    def refusal_body(self, status: int, message: str, *, too_long: bool) -> bytes:
        return errors.error_body(errors.too_long(message) if too_long else message)

    def model_list(self, entries: Sequence[ModelEntry], query: str = "") -> bytes:
        return models.model_list(entries)

    def model_entry(self, entry: ModelEntry) -> bytes:
        return models.model_entry(entry)

    def read_error(self, body: bytes) -> str:
        return errors.error_message(body)


class CohereChat(CohereDialect):
    """`POST /v2/chat`."""

    name = "cohere_chat"
    operation = "chat"
    path = "/v2/chat"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_chat(body)


class CohereEmbed(CohereDialect):
    """`POST /v2/embed`."""

    name = "cohere_embed"
    operation = "embeddings"
    path = "/v2/embed"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_embed(body)


class CohereRerank(CohereDialect):
    """`POST /v2/rerank`: what all APIs for ranks agree on, with Cohere's errors around it."""

    # That of all of them: its requests are sent on as they come, to whoever ranks.
    name = "rerank"
    operation = "rerank"
    path = "/v2/rerank"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_rerank(body)


COHERE_CHAT: Final[Dialect] = CohereChat()
COHERE_EMBED: Final[Dialect] = CohereEmbed()
COHERE_RERANK: Final[Dialect] = CohereRerank()
