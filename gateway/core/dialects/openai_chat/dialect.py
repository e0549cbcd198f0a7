"""The dialect of OpenAI's chat completions, its parts put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ....errors import GatewayError
from ..base import Dialect, DialectRequest, HeaderList, ModelEntry, StreamRewriter
from . import errors, models
from .request import parse_chat


class OpenAIDialect:
    """What all operations of OpenAI's API have in common: errors, streams, the list of models.

    A class that extends it is a `base.Dialect`, with a name, a path and requests of its own.
    """

    name: str
    operation: str
    path: str
    # A comment, which openai-python skips as long as no `id:` has come (its `_streaming.py`).
    keep_alive = b": keep-alive\n\n"
    stream_headers = (
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        # nginx buffers answers unless told otherwise (ngx_http_proxy_module, proxy_buffering).
        (b"x-accel-buffering", b"no"),
    )
    stream_marks = frozenset({b"[DONE]"})
    provider_headers = frozenset(
        {b"openai-organization", b"openai-processing-ms", b"openai-version"}
    )
    answer_headers = ((b"content-type", b"application/json"),)
    opens_once = False
    closes_failed = False

    def __repr__(self) -> str:
        return f"<Dialect {self.name}>"

    def error_reply(self, error: GatewayError) -> tuple[HeaderList, bytes]:
        return errors.error_reply(error)

    def error_event(
        self, message: str, code: str, kind: str, after: StreamRewriter | None = None
    ) -> bytes:
        return errors.error_event(message, code, kind)

    def relayed_error_event(self, data: bytes, after: StreamRewriter | None = None) -> bytes:
        return errors.relayed_error_event(data)

    def model_list(self, entries: Sequence[ModelEntry]) -> bytes:
        return models.model_list(entries)

    def model_entry(self, entry: ModelEntry) -> bytes:
        return models.model_entry(entry)

    def target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        return base_path + self.path.removeprefix("/v1").encode("ascii")

    def error_status(self, body: bytes) -> int | None:
        return errors.error_status(body)

    def read_error(self, body: bytes) -> str:
        return errors.read_error(body)


class OpenAIChat(OpenAIDialect):
    """It has no state: `OPENAI_CHAT` is the one there is."""

    name = "openai_chat"
    operation = "chat"
    path = "/v1/chat/completions"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_chat(body)


OPENAI_CHAT: Final[Dialect] = OpenAIChat()
