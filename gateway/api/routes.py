"""The table of paths: which operation serves each.

A table of exact paths, since a framework's router costs more than the whole rest of the way
to the handler (Starlette: 23 µs against a dictionary's 0.1).
"""

from __future__ import annotations

import enum
import re
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from ..core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from ..core.dialects.base import Dialect
from ..core.dialects.bedrock_converse.dialect import (
    LIST_PATH,
    MODEL_PATH,
    PROFILES_PATH,
    dialect_of_path,
)
from ..core.dialects.bedrock_invoke.count_tokens import counted_by
from ..core.dialects.bedrock_invoke.dialect import invoked_by
from ..core.dialects.cohere.dialect import COHERE_CHAT, COHERE_EMBED, COHERE_RERANK
from ..core.dialects.gemini.dialect import METHODS, asked_by
from ..core.dialects.ollama.dialect import OLLAMA_CHAT, OLLAMA_EMBED, OLLAMA_GENERATE
from ..core.dialects.openai_azure.at_deployment import AtDeployment
from ..core.dialects.openai_chat.dialect import OPENAI_CHAT
from ..core.dialects.openai_completions.dialect import OPENAI_COMPLETIONS
from ..core.dialects.openai_media.dialect import MEDIA
from ..core.dialects.openai_numbers.dialect import OPENAI_EMBEDDINGS, OPENAI_MODERATIONS
from ..core.dialects.openai_responses.dialect import (
    OPENAI_INPUT_TOKENS,
    OPENAI_KEPT_RESPONSES,
    OPENAI_RESPONSES,
)
from ..core.dialects.passthrough.dialect import passed
from ..core.dialects.rerank.dialect import RERANK
from ..core.dialects.sessions.paths import session_dialect
from ..core.objects.families import METHODS as OBJECT_METHODS
from ..core.objects.families import object_path
from ..errors import GatewayError, MethodNotAllowed, NotFound, UpgradeRequired
from .spoken_dialect import DEFAULT_DIALECT, GOOGLE_METHODS, GOOGLE_PREFIXES

_MODELS: Final = "/models"
_COUNT_TOKENS: Final = "/messages/count_tokens"

# Base URLs are given with and without /v1, and some clients add a second one.
_PREFIXES: Final = ("", "/v1", "/v1/v1")
_ALL_PREFIXES: Final = (
    *_PREFIXES,
    *GOOGLE_PREFIXES,
    *(first + second for first in ("/v1", *GOOGLE_PREFIXES) for second in GOOGLE_PREFIXES),
)

HEALTH_PREFIX: Final = "/health/"


# What models can be called in, each dialect at its own path.
_CALLED: Final = (
    *(OPENAI_CHAT, OPENAI_RESPONSES, OPENAI_INPUT_TOKENS),
    *(OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS, OPENAI_MODERATIONS),
    *(ANTHROPIC_MESSAGES, RERANK),
)


class Operation(enum.Enum):
    """What a path asks for."""

    CHAT = "chat"  # an answer of a model, in the route's dialect
    BY_BODY = "by_body"  # the same, in the dialect that the request's body tells
    KEPT_ANSWER = "kept_answer"
    COUNT_TOKENS = "count_tokens"
    MEDIA = "media"  # images and sound, passed on as they come
    OBJECTS = "objects"  # files, batches and the like, which a provider keeps
    PASSTHROUGH = "passthrough"
    HELLO = "hello"
    MODELS = "models"
    MODEL = "model"
    SHOWN_MODEL = "shown_model"  # the same, by a POST that names it
    LOADED_MODELS = "loaded_models"
    VERSION = "version"
    LIVE = "live"
    READY = "ready"
    METRICS = "metrics"


class ApiRoute(msgspec.Struct, frozen=True):
    """What serves a path, by which method, and in which dialect it is asked.

    `family` is what kind of objects it is of.
    """

    operation: Operation
    method: str
    dialect: Dialect = DEFAULT_DIALECT
    family: str | None = None


_EXACT: Final[dict[str, ApiRoute]] = {
    **{
        prefix + dialect.path.removeprefix("/v1"): ApiRoute(Operation.CHAT, "POST", dialect)
        for dialect in _CALLED
        for prefix in _PREFIXES
    },
    **{
        prefix + dialect.path.removeprefix("/v1"): ApiRoute(Operation.MEDIA, "POST", dialect)
        for dialect in MEDIA
        for prefix in _PREFIXES
    },
    **{
        prefix + _COUNT_TOKENS: ApiRoute(Operation.COUNT_TOKENS, "POST", ANTHROPIC_MESSAGES)
        for prefix in _PREFIXES
    },
    **{
        dialect.path: ApiRoute(Operation.CHAT, "POST", dialect)
        for dialect in (OLLAMA_CHAT, OLLAMA_GENERATE, OLLAMA_EMBED)
    },
    "/api/tags": ApiRoute(Operation.MODELS, "GET", OLLAMA_CHAT),
    "/api/show": ApiRoute(Operation.SHOWN_MODEL, "POST", OLLAMA_CHAT),
    "/api/ps": ApiRoute(Operation.LOADED_MODELS, "GET", OLLAMA_CHAT),
    "/api/version": ApiRoute(Operation.VERSION, "GET", OLLAMA_CHAT),
    **{
        dialect.path: ApiRoute(Operation.CHAT, "POST", dialect)
        for dialect in (COHERE_CHAT, COHERE_EMBED, COHERE_RERANK)
    },
    # What Claude Code asks first; any answer will do.
    "/api/hello": ApiRoute(Operation.HELLO, "GET", ANTHROPIC_MESSAGES),
    **{prefix + _MODELS: ApiRoute(Operation.MODELS, "GET") for prefix in _ALL_PREFIXES},
    LIST_PATH: ApiRoute(Operation.MODELS, "GET"),
    PROFILES_PATH: ApiRoute(Operation.MODELS, "GET"),
    "/health/live": ApiRoute(Operation.LIVE, "GET"),
    "/health/ready": ApiRoute(Operation.READY, "GET"),
    "/metrics": ApiRoute(Operation.METRICS, "GET"),
}
# Behind it stands a provider's name, and behind that what it is asked for.
_UNREAD: Final = (Operation.PASSTHROUGH, Operation.OBJECTS)
PASSTHROUGH_PREFIX: Final = "/passthrough/"
# Clients of Azure OpenAI: by deployment, which is the model, or by the v1 API.
_AZURE: Final = "/openai"
_DEPLOYMENT: Final = re.compile(
    r"/openai/deployments/(.+?)(/(?:chat/completions|completions|embeddings|images/.+|audio/.+))"
)
_BY_MODEL: Final = (OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS)
_SLASHES: Final = re.compile("/{2,}")
_MODEL: Final = ApiRoute(Operation.MODEL, "GET")
_MODEL_PREFIXES: Final = (
    *(prefix + _MODELS + "/" for prefix in _ALL_PREFIXES),
    LIST_PATH + "/",
)
# What can be done with a response that a provider keeps, by what follows its id in the path.
_KEPT: Final = re.compile(r"(?:/v1){0,2}/responses/([^/]+)(|/input_items|/cancel)")
_KEPT_METHODS: Final = {"": ("GET", "DELETE"), "/input_items": ("GET",), "/cancel": ("POST",)}


def spoken(route: ApiRoute, caller: Dialect) -> Dialect:
    """Return the dialect of a request for `route`, whose `caller` speaks as `dialect_of` says."""
    if route.operation not in _UNREAD:
        return route.dialect
    operation = route.operation.value if route.family is None else route.family
    return passed(operation, f"/{operation}", messages=caller is ANTHROPIC_MESSAGES)


def match(method: str, path: str, query: bytes = b"") -> tuple[ApiRoute, str]:
    """Return the route and its argument, the rest of the path.

    `path` is percent-decoded. Raises NotFound (404) and MethodNotAllowed (405).
    """
    found = _EXACT.get(path)
    argument = ""
    if found is None and path.startswith(_AZURE + "/"):
        return _of_azure(method, path, query)
    if found is None and (unread := _unread(method, path)) is not None:
        return unread
    if found is None and path.endswith(GOOGLE_METHODS) and (asked := asked_by(path, query)):
        # Before the models: one could be called `gpt:generateContent` otherwise.
        found = ApiRoute(Operation.CHAT, "POST", asked)
    if found is None:
        for prefix in _MODEL_PREFIXES:
            if path.startswith(prefix) and len(path) > len(prefix):
                # Model names hold slashes: openai/gpt-4o.
                found, argument = _MODEL, path[len(prefix) :]
                break
    if found is None and path.startswith(MODEL_PATH):
        found = _of_amazon(path)
    if found is None and path.endswith("/") and path != "/":
        return match(method, path.rstrip("/") or "/", query)
    if found is None and (kept := _KEPT.fullmatch(path)) is not None:
        return _kept_answer(method, path, *kept.groups())
    if found is None:
        raise _nothing(method, path)
    allowed = found.method
    if found is _MODEL and method == "POST" and ":" in argument:
        served = ", ".join(METHODS)
        raise NotFound(
            f"there is nothing at POST {path}; of the methods of models there are {served}"
        )
    if method != allowed and not (method == "HEAD" and allowed == "GET"):
        allow = "GET, HEAD" if allowed == "GET" else allowed
        raise MethodNotAllowed(f"{path} takes {allow}, not {method}", allow=allow)
    return found, argument


def _of_amazon(path: str) -> ApiRoute | None:
    if (asked := dialect_of_path(path)) is not None:
        return ApiRoute(Operation.CHAT, "POST", asked)
    if (counted := counted_by(path)) is not None:
        return ApiRoute(Operation.COUNT_TOKENS, "POST", counted)
    invoked = invoked_by(path)
    return None if invoked is None else ApiRoute(Operation.BY_BODY, "POST", invoked)


def _of_azure(method: str, path: str, query: bytes) -> tuple[ApiRoute, str]:
    if (named := _DEPLOYMENT.fullmatch(path)) is not None:
        found, argument = match(method, "/v1" + named[2], query)
        if found.dialect in _BY_MODEL:
            made: Dialect = AtDeployment(found.dialect, named[1])
            found = msgspec.structs.replace(found, dialect=made)
        return found, argument
    rest = path.removeprefix(_AZURE)
    # `/openai/responses?api-version=...` and `/openai/v1/responses` are the same.
    return match(method, rest if rest.startswith("/v1/") else "/v1" + rest, query)


def _unread(method: str, path: str) -> tuple[ApiRoute, str] | None:
    """Return the route of what is passed to a provider unread; None if `path` is none of that."""
    if path.startswith(PASSTHROUGH_PREFIX):
        return ApiRoute(Operation.PASSTHROUGH, method), path.removeprefix(PASSTHROUGH_PREFIX)
    if (objects := object_path(path)) is None:
        return None
    if method not in OBJECT_METHODS and method != "HEAD":
        allow = ", ".join(sorted(OBJECT_METHODS))
        raise MethodNotAllowed(f"{path} takes {allow}, not {method}", allow=allow)
    family = objects.family.replace("/", "_")
    return ApiRoute(Operation.OBJECTS, method, family=family), path


# What OpenAI's clients may ask for and is not there, and what is in its place.
_NOT_SERVED: Final = {
    "assistants": "the Assistants API is not served; /v1/responses is what OpenAI has in its place",
    "threads": "the Assistants API is not served; /v1/responses is what OpenAI has in its place",
    "realtime": "of the Realtime API the WebSocket at /v1/realtime is served",
}


def _nothing(method: str, path: str) -> GatewayError:
    if method == "GET" and session_dialect(path) is not None:
        return UpgradeRequired(f"{path} is a WebSocket (RFC 6455), and this is no opening of one")
    return NotFound(
        f"there is nothing at {method} {path}; the API is at /v1/chat/completions, "
        "/v1/messages, /v1beta/models/MODEL:generateContent, /model/MODEL/converse, "
        "/model/MODEL/invoke and /v1/models, so the base URL of an OpenAI client ends in /v1, "
        "and that of an "
        "Anthropic, Gemini or Bedrock client does not" + _elsewhere(path)
    )


def _elsewhere(path: str) -> str:
    """Return what to say of a path that the gateway knows, and does not serve."""
    first = next((each for each in path.split("/") if each not in ("", "v1")), "")
    said = _NOT_SERVED.get(first)
    return "" if said is None else f". {said}; /passthrough/PROVIDER reaches what a provider has"


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
