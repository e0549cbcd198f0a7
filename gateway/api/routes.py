"""The table of paths: which operation serves each.

A table of exact paths, since a framework's router costs more than the whole rest of the way
to the handler (Starlette: 23 µs against a dictionary's 0.1).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from ..core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from ..core.dialects.base import Dialect
from ..core.dialects.openai_chat.dialect import OPENAI_CHAT
from ..core.dialects.openai_completions.dialect import OPENAI_COMPLETIONS
from ..core.dialects.openai_numbers.dialect import OPENAI_EMBEDDINGS, OPENAI_MODERATIONS
from ..core.dialects.openai_responses.dialect import (
    OPENAI_INPUT_TOKENS,
    OPENAI_KEPT_RESPONSES,
    OPENAI_RESPONSES,
)
from ..errors import MethodNotAllowed, NotFound

_MODELS: Final = "/models"
_MESSAGES: Final = "/messages"
_COUNT_TOKENS: Final = "/messages/count_tokens"
# Only Anthropic's clients send these, whichever path they ask for. Some send their key as a bearer
# token, so either is enough.
_ANTHROPIC_HEADERS: Final = (b"anthropic-version", b"x-api-key")

# Base URLs are given with and without /v1, and some clients add a second one.
_PREFIXES: Final = ("", "/v1", "/v1/v1")

HEALTH_PREFIX: Final = "/health/"
# What speaks to a caller whose path says nothing of a dialect.
DEFAULT_DIALECT: Final = OPENAI_CHAT


# What models can be called in, each dialect at its own path.
_CALLED: Final = (
    *(OPENAI_CHAT, OPENAI_RESPONSES, OPENAI_INPUT_TOKENS),
    *(OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS, OPENAI_MODERATIONS),
    ANTHROPIC_MESSAGES,
)


class Operation(enum.Enum):
    """What a path asks for."""

    CHAT = "chat"  # an answer of a model, in the route's dialect
    KEPT_ANSWER = "kept_answer"
    COUNT_TOKENS = "count_tokens"
    HELLO = "hello"
    MODELS = "models"
    MODEL = "model"
    LIVE = "live"
    READY = "ready"
    METRICS = "metrics"


class ApiRoute(msgspec.Struct, frozen=True):
    """What serves a path, by which method, and in which dialect it is asked."""

    operation: Operation
    method: str
    dialect: Dialect = DEFAULT_DIALECT


_EXACT: Final[dict[str, ApiRoute]] = {
    **{
        prefix + dialect.path.removeprefix("/v1"): ApiRoute(Operation.CHAT, "POST", dialect)
        for dialect in _CALLED
        for prefix in _PREFIXES
    },
    **{
        prefix + _COUNT_TOKENS: ApiRoute(Operation.COUNT_TOKENS, "POST", ANTHROPIC_MESSAGES)
        for prefix in _PREFIXES
    },
    # What Claude Code asks first; any answer will do.
    "/api/hello": ApiRoute(Operation.HELLO, "GET", ANTHROPIC_MESSAGES),
    **{prefix + _MODELS: ApiRoute(Operation.MODELS, "GET") for prefix in _PREFIXES},
    "/health/live": ApiRoute(Operation.LIVE, "GET"),
    "/health/ready": ApiRoute(Operation.READY, "GET"),
    "/metrics": ApiRoute(Operation.METRICS, "GET"),
}
_SLASHES: Final = re.compile("/{2,}")
_MODEL: Final = ApiRoute(Operation.MODEL, "GET")
_MODEL_PREFIXES: Final = tuple(prefix + _MODELS + "/" for prefix in _PREFIXES)
# What can be done with a response that a provider keeps, by what follows its id in the path.
_KEPT: Final = re.compile(r"(?:/v1){0,2}/responses/([^/]+)(|/input_items|/cancel)")
_KEPT_METHODS: Final = {"": ("GET", "DELETE"), "/input_items": ("GET",), "/cancel": ("POST",)}


def dialect_of(path: str, headers: Mapping[bytes, bytes]) -> Dialect:
    """Return what a caller speaks that asks for something that all dialects have, or for nothing
    that there is: its headers tell, or its path."""
    if _MESSAGES in path or any(name in headers for name in _ANTHROPIC_HEADERS):
        return ANTHROPIC_MESSAGES
    return DEFAULT_DIALECT


def match(method: str, path: str) -> tuple[ApiRoute, str]:
    """Return the route and its argument, the rest of the path.

    `path` is percent-decoded. Raises NotFound (404) and MethodNotAllowed (405).
    """
    found = _EXACT.get(path)
    argument = ""
    if found is None:
        for prefix in _MODEL_PREFIXES:
            if path.startswith(prefix) and len(path) > len(prefix):
                # Model names hold slashes: openai/gpt-4o.
                found, argument = _MODEL, path[len(prefix) :]
                break
    if found is None and path.endswith("/") and path != "/":
        return match(method, path.rstrip("/") or "/")
    if found is None and (kept := _KEPT.fullmatch(path)) is not None:
        return _kept_answer(method, path, *kept.groups())
    if found is None:
        raise NotFound(
            f"there is nothing at {method} {path}; the API is at /v1/chat/completions, "
            "/v1/messages and /v1/models, so the base URL of an OpenAI client ends in /v1, and "
            "that of an Anthropic client does not"
        )
    allowed = found.method
    if method != allowed and not (method == "HEAD" and allowed == "GET"):
        allow = "GET, HEAD" if allowed == "GET" else allowed
        raise MethodNotAllowed(f"{path} takes {allow}, not {method}", allow=allow)
    return found, argument


def _kept_answer(method: str, path: str, id: str, part: str) -> tuple[ApiRoute, str]:
    allowed = _KEPT_METHODS[part]
    if method not in allowed:
        allow = ", ".join(allowed)
        raise MethodNotAllowed(f"{path} takes {allow}, not {method}", allow=allow)
    return ApiRoute(Operation.KEPT_ANSWER, method, OPENAI_KEPT_RESPONSES), id + part


def decoded(raw_path: bytes) -> str:
    """Return a raw path as text; bytes that are no UTF-8 cannot match anything.

    Slashes that follow each other are one: a base URL that ends in a slash makes them.
    """
    path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
    return _SLASHES.sub("/", path) if "//" in path else path
