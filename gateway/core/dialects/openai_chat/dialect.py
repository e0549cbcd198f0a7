"""The dialect of OpenAI's chat completions, its parts put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ....errors import GatewayError
from ..base import Dialect, DialectRequest, HeaderList, ModelEntry, StreamRewriter
from ..defaults.plain_dialect import PlainDialect
from . import errors, models
from .request import parse_chat


class OpenAIDialect(PlainDialect):
    """What all operations of OpenAI's API have in common: errors, streams, the list of models.

    A class that extends it is a `base.Dialect`, with a name, a path and requests of its own.
    """

    # A comment, which openai-python skips as long as no `id:` has come (its `_streaming.py`).
    keep_alive = b": keep-alive\n\n"
    stream_marks = frozenset({b"[DONE]"})
    provider_headers = frozenset(
        {b"openai-organization", b"openai-processing-ms", b"openai-version"}
    )
    limit_headers = frozenset(
        b"x-ratelimit-%b-%b" % (what, dimension)
        for what in (b"limit", b"remaining", b"reset")
        for dimension in (b"requests", b"tokens")
    )
    # Of `id_headers` none: openai-python reads `x-request-id` alone (its `_response.py`).

    def error_reply(self, error: GatewayError, request_id: str = "") -> tuple[HeaderList, bytes]:
        return errors.error_reply(error)

    def error_event(
        self, message: str, code: str, kind: str, after: StreamRewriter | None = None
    ) -> bytes:
        return errors.error_event(message, code, kind)

    def relayed_error_event(self, data: bytes, after: StreamRewriter | None = None) -> bytes:
        return errors.relayed_error_event(data)

    def refusal_body(self, status: int, message: str, *, too_long: bool) -> bytes:
        code = "context_length_exceeded" if too_long else None
        return errors.error_body(message, "invalid_request_error", code)

    def model_list(self, entries: Sequence[ModelEntry], query: str = "") -> bytes:
        return models.model_list(entries)

    def model_entry(self, entry: ModelEntry) -> bytes:
        return models.model_entry(entry)

    def target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        return base_path + self.path.removeprefix("/v1").encode("ascii")

    def error_status(self, body: bytes) -> int | None:
        return errors.error_status(body)


class OpenAIChat(OpenAIDialect):
    """It has no state: `OPENAI_CHAT` is the one there is."""

    name = "openai_chat"
    operation = "chat"
    path = "/v1/chat/completions"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_chat(body)


OPENAI_CHAT: Final[Dialect] = OpenAIChat()
