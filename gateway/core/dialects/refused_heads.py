"""Errors for requests that are refused by their head alone, in the dialect of their path.

What a head says is not to be trusted where it is refused; but all that depends on it here is the
shape of the error that goes back to who sent it. A head without a path gets none: it may be no HTTP
at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ...errors import (
    BodyTimeout,
    CallerError,
    GatewayError,
    GatewayFault,
    InternalError,
    InvalidRequest,
    NotFound,
    Overloaded,
)
from .anthropic_messages.dialect import ANTHROPIC_MESSAGES
from .base import Dialect, HeaderList
from .bedrock_converse.dialect import BEDROCK_CONVERSE, LIST_PATH, MODEL_PATH, PROFILES_PATH
from .cohere.dialect import COHERE_CHAT
from .gemini.dialect import GEMINI, METHODS
from .ollama.dialect import OLLAMA_CHAT
from .openai_chat.dialect import OPENAI_CHAT

_MESSAGES: Final = b"/messages"
_OLLAMA_PATHS: Final = (b"/api/chat", b"/api/generate", b"/api/embed", b"/api/tags", b"/api/show")
_COHERE_PATHS: Final = (b"/v2/chat", b"/v2/embed", b"/v2/rerank")
# Only Anthropic's clients send these, whichever path they ask for.
_VERSION: Final = b"\nanthropic-version:"
_KEY: Final = b"\nx-api-key:"
# Those of Google's.
_GOOGLES_KEY: Final = b"\nx-goog-api-key:"
_GOOGLES_CLIENT: Final = b"\nx-goog-api-client:"
_GOOGLE_PATHS: Final = (b"/v1beta", b"/v1alpha")
_GOOGLE_METHODS: Final = frozenset(method.encode() for method in METHODS)
_AMAZON_PATHS: Final = tuple(each.encode() for each in (MODEL_PATH, LIST_PATH, PROFILES_PATH))
_LONGEST_METHOD: Final = 32


class ExpectationRefused(CallerError):
    status = 417
    code = "expectation_failed"


class HeadTooLarge(CallerError):
    status = 431
    code = "headers_too_large"


class MethodUnknown(GatewayFault):
    status = 501
    code = "method_not_supported"


class VersionUnknown(GatewayFault):
    status = 505
    code = "http_version_not_supported"


_ERRORS: Final[dict[int, Callable[..., GatewayError]]] = {
    404: NotFound,
    408: BodyTimeout,
    417: ExpectationRefused,
    431: HeadTooLarge,
    500: InternalError,
    501: MethodUnknown,
    503: Overloaded,
    505: VersionUnknown,
}


def dialect_of_head(head: bytes) -> Dialect | None:  # noqa: PLR0911  # a row for each dialect
    """Return what the sender of `head` speaks; None if it has no line with a path.

    Without regular expressions: it is asked for each request that is turned away, thousands a
    second.
    """
    start = head.find(b" ", 0, _LONGEST_METHOD) + 1
    if not start or not head.startswith(b"/", start) or not head[: start - 1].isalpha():
        return None
    end = head.find(b"\n", start)
    found = head.find(_MESSAGES, start, end if end >= 0 else len(head))
    if found >= 0 and head.find(b"?", start, found) < 0:
        return ANTHROPIC_MESSAGES
    if head.startswith(_GOOGLE_PATHS, start) or _names_method(head, start, end):
        return GEMINI
    if head.startswith(_AMAZON_PATHS, start):
        return BEDROCK_CONVERSE
    if head.startswith(_OLLAMA_PATHS, start):
        return OLLAMA_CHAT
    if head.startswith(_COHERE_PATHS, start):
        return COHERE_CHAT
    fields = head.lower()
    if fields.find(_VERSION, end) >= 0 or fields.find(_KEY, end) >= 0:
        return ANTHROPIC_MESSAGES
    if fields.find(_GOOGLES_KEY, end) >= 0 or fields.find(_GOOGLES_CLIENT, end) >= 0:
        return GEMINI
    return OPENAI_CHAT


def _names_method(head: bytes, start: int, end: int) -> bool:
    """Say whether the path that begins at `start` ends in a method of Gemini's API."""
    line = head[start : end if end >= 0 else len(head)].partition(b" ")[0].partition(b"?")[0]
    return line.rpartition(b":")[2] in _GOOGLE_METHODS


def refused_head(
    dialect: Dialect, status: int, message: str, request_id: str, retry_after: int | None = None
) -> tuple[HeaderList, bytes]:
    """Return the headers and the body that refuse a request with `status`."""
    kind = _ERRORS.get(status, InvalidRequest)
    headers, body = dialect.error_reply(kind(message, retry_after=retry_after), request_id)
    return [*headers, *((name, request_id.encode("ascii")) for name in dialect.id_headers)], body
