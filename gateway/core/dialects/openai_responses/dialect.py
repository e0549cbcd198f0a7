"""The dialects of OpenAI's Responses, their parts put together."""

from __future__ import annotations

from typing import Final

from ...records.record import COUNT_TOKENS
from ..base import Dialect, DialectRequest, StreamRewriter
from ..canonical.translated_stream import TranslatedStream
from ..openai_chat.dialect import OpenAIDialect
from ..openai_numbers.request import parse_numbers
from .errors import events_of, failed, is_failed, own_code, words_of
from .request import parse_responses
from .stream import ResponsesStreamRewriter
from .translated.event_writer import ResponseEventWriter


class OpenAIResponses(OpenAIDialect):
    """`POST /v1/responses`."""

    name = "openai_responses"
    operation = "responses"
    path = "/v1/responses"
    # Nothing but events; what servers send as `[DONE]` is left out.
    stream_marks = frozenset[bytes]()
    # A second `response.created` would be another response to its clients.
    opens_once = True
    # `response.failed` is an end like the others.
    closes_failed = True

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_responses(body)

    def error_event(
        self, message: str, code: str, kind: str, after: StreamRewriter | None = None
    ) -> bytes:
        return events_of(_failed(message, own_code(code), after))

    def relayed_error_event(self, data: bytes, after: StreamRewriter | None = None) -> bytes:
        return events_of(data if is_failed(data) else _failed(*words_of(data), after))


class OpenAIKeptResponses(OpenAIResponses):
    """What can be done with a response that a provider keeps, below that path and its id."""

    name = "openai_kept_responses"
    operation = "kept_answers"


class OpenAIInputTokens(OpenAIDialect):
    """`POST /v1/responses/input_tokens`: how many tokens an input has."""

    name = "openai_input_tokens"
    operation = COUNT_TOKENS
    path = "/v1/responses/input_tokens"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_numbers(body, "input_tokens")

    def token_count(self, tokens: int) -> bytes:
        return b'{"object":"response.input_tokens","input_tokens":%d}' % tokens


def _failed(message: str, code: str, after: StreamRewriter | None) -> bytes:
    if isinstance(after, ResponsesStreamRewriter):
        return after.failure(message, code)
    if isinstance(after, TranslatedStream) and isinstance(after.writer, ResponseEventWriter):
        return after.writer.failure(message, code)
    return failed(message, code)


OPENAI_RESPONSES: Final[Dialect] = OpenAIResponses()
OPENAI_KEPT_RESPONSES: Final[Dialect] = OpenAIKeptResponses()
OPENAI_INPUT_TOKENS: Final[Dialect] = OpenAIInputTokens()
