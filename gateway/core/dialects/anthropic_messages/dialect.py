"""The dialect of Anthropic's Messages, its parts put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ....errors import GatewayError
from ..base import Dialect, DialectRequest, HeaderList, ModelEntry, StreamRewriter
from ..defaults.plain_dialect import PlainDialect
from . import errors, models
from .request import parse_messages


class AnthropicMessages(PlainDialect):
    """See `base.Dialect`. It has no state: `ANTHROPIC_MESSAGES` is the one there is."""

    name = "anthropic_messages"
    operation = "messages"
    path = "/v1/messages"
    # The SDKs pass over it (anthropic-sdk-python `_streaming.py`), and Claude Code, which gives a
    # stream up after 300 s of silence, counts it (code.claude.com/docs, "LLM gateway").
    keep_alive = b'event: ping\ndata: {"type": "ping"}\n\n'
    provider_headers = frozenset({b"request-id", b"anthropic-organization-id"})
    # docs.anthropic.com/en/api/rate-limits, "Response headers".
    limit_headers = frozenset(
        b"anthropic-ratelimit-%b-%b" % (dimension, what)
        for dimension in (b"requests", b"tokens", b"input-tokens", b"output-tokens")
        for what in (b"limit", b"remaining", b"reset")
    )
    # anthropic-sdk-python `_response.py`.
    id_headers = (b"request-id",)
    # anthropic-sdk-python `lib/streaming/_messages.py`: whatever comes before `message_start`
    # fails, and a second one would be another message.
    opens_once = True

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_messages(body)

    def error_reply(self, error: GatewayError, request_id: str = "") -> tuple[HeaderList, bytes]:
        return errors.error_reply(error, request_id)

    def error_event(
        self, message: str, code: str, kind: str, after: StreamRewriter | None = None
    ) -> bytes:
        return errors.error_event(message, code)

    def relayed_error_event(self, data: bytes, after: StreamRewriter | None = None) -> bytes:
        return errors.relayed_error_event(data)

    def refusal_body(self, status: int, message: str, *, too_long: bool) -> bytes:
        said = errors.too_long(message) if too_long else message
        return errors.error_body(errors.error_type(status), said)

    def model_list(self, entries: Sequence[ModelEntry], query: str = "") -> bytes:
        return models.model_list(entries, query)

    def model_entry(self, entry: ModelEntry) -> bytes:
        return models.model_entry(entry)

    def token_count(self, tokens: int) -> bytes:
        return b'{"input_tokens":%d}' % tokens

    def target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        return base_path + b"/v1/messages"

    def count_target(self, base_path: bytes, model: str) -> bytes | None:
        return base_path + b"/v1/messages/count_tokens"

    def error_status(self, body: bytes) -> int | None:
        return errors.error_status(body)


ANTHROPIC_MESSAGES: Final[Dialect] = AnthropicMessages()
