"""The base of every kind that speaks OpenAI's chat completions.

A kind extends it where its servers differ: another default for the base URL, other headers for
a key, other words in its refusals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import urlsplit

from ..core.dialects.base import Dialect, ReasoningForm
from ..core.dialects.counting.counter import CountedAt
from ..core.dialects.counting.counters import INPUT_TOKENS
from ..core.dialects.model_terms import ModelTerms
from ..core.dialects.openai_chat.dialect import OPENAI_CHAT
from ..core.dialects.openai_completions.dialect import OPENAI_COMPLETIONS
from ..core.dialects.openai_media.dialect import MEDIA
from ..core.dialects.openai_numbers.dialect import OPENAI_EMBEDDINGS, OPENAI_MODERATIONS
from ..core.dialects.openai_realtime.dialect import (
    REALTIME,
    REALTIME_TRANSLATIONS,
    RESPONSES_SOCKET,
)
from ..core.dialects.openai_responses.dialect import (
    OPENAI_INPUT_TOKENS,
    OPENAI_KEPT_RESPONSES,
    OPENAI_RESPONSES,
)
from ..core.dialects.rerank.dialect import RERANK, RERANK_AT_ROOT
from ..core.routing.capabilities.declared import Capabilities
from . import failures
from .http_kind import HttpKind
from .kind import RouteTerms
from .model_terms import openai_terms
from .presets.catalogue import presets
from .settings import Provider

RESPONSES: Final = (OPENAI_RESPONSES, OPENAI_KEPT_RESPONSES, OPENAI_INPUT_TOKENS)
# Models that take `reasoning_effort`, by the last part of their names: others refuse it. A route
# says it for models that are not in here, or are called otherwise.
_REASONING: Final = re.compile(
    r"(?:^|/)(?:o[1-9]|gpt-(?:[5-9]|oss)|codex|grok-(?:3-mini|[5-9])|gemini-(?:2\.5|[3-9]))"
)


# Servers whose API has no version in its paths (api-docs.deepseek.com, docs.perplexity.ai,
# docs.github.com/github-models).
_AT_THE_ROOT: Final = {"api.deepseek.com", "api.perplexity.ai", "models.inference.ai.azure.com"}
# Their rerank is a part of their own API, beside the one like OpenAI's
# (docs.cohere.com/docs/compatibility-api).
_COHERE: Final = {"api.cohere.ai", "api.cohere.com"}
# Which of OpenAI's two APIs for answers a server is asked by.
Api = Literal["chat", "responses", "both"]


# Whose Responses are there over WebSocket, too (developers.openai.com/api/docs/guides/websocket-
# mode). Others are asked so if their table says it: to a server without it clients would only come
# back.
_OVER_WEBSOCKET: Final = {"api.openai.com"}


class OpenAIProvider(Provider, frozen=True):
    """`api` says which of OpenAI's two APIs for answers the server has, beside its other ones, and
    `responses_websocket` that it has Responses over WebSocket; None: if it is OpenAI itself."""

    api: Api = "chat"
    responses_websocket: bool | None = None


class OpenAICompatible(HttpKind):
    settings: type[Provider] = OpenAIProvider
    dialect = OPENAI_CHAT
    beside: tuple[Dialect, ...] = (
        *(OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS, OPENAI_MODERATIONS),
        *(RERANK, *MEDIA, REALTIME, REALTIME_TRANSLATIONS),
    )
    refusals = failures.OPENAI_COMPATIBLE
    passed_headers = frozenset({b"openai-beta"})

    def reasoning_of(self, model: str) -> ReasoningForm:
        return "effort" if _REASONING.search(model) else "none"

    def terms_of(
        self,
        model: str,
        host: str,
        dialect: Dialect,
        can: Capabilities,
        refused: frozenset[str],
    ) -> ModelTerms:
        return openai_terms(model, host, dialect, searches=can.web_search, refused=refused)

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        if provider.base_url is None and self.base_url is None:
            yield "base_url", "missing; for OpenAI itself it is https://api.openai.com/v1"
        if (provider.base_url or "").rstrip("/").endswith("/chat/completions"):
            yield "base_url", "ends in /chat/completions; stop before it, as in .../v1"

    def spoken(self, provider: Provider, terms: RouteTerms) -> Dialect:
        return self.dialect if _api(provider, terms) == "chat" else OPENAI_RESPONSES

    def notes(self, provider: Provider) -> Iterator[tuple[str, str]]:
        url = urlsplit(provider.base_url or "")
        if provider.preset and provider.base_url == presets()[provider.preset].base_url:
            return
        if url.hostname and not url.path.strip("/") and url.hostname not in _AT_THE_ROOT:
            meant = f"{url.geturl().rstrip('/')}/v1"
            yield "base_url", f"has no path, and most servers have their API below one: {meant}"

    def operations(self, provider: Provider, terms: RouteTerms) -> tuple[Dialect, ...]:
        """Return what a provider takes on a route as it comes, beside what it speaks."""
        api = _api(provider, terms)
        beside = self.beside
        if urlsplit(self.address(provider) or "").hostname in _COHERE:
            beside = tuple(RERANK_AT_ROOT if each is RERANK else each for each in beside)
        if api == "chat":
            return beside
        if self.over_websocket(provider):
            beside = (*beside, RESPONSES_SOCKET)
        return (*beside, *RESPONSES, *((self.dialect,) if api == "both" else ()))

    def counter(self, provider: Provider, terms: RouteTerms, path: bytes) -> CountedAt | None:
        if OPENAI_INPUT_TOKENS not in self.operations(provider, terms):
            return None
        return CountedAt(OPENAI_INPUT_TOKENS.target(path, terms.model, stream=False), INPUT_TOKENS)

    def over_websocket(self, provider: Provider) -> bool:
        """Say whether a provider with Responses has them over WebSocket."""
        said = provider.responses_websocket if isinstance(provider, OpenAIProvider) else None
        if said is not None:
            return said
        return urlsplit(self.address(provider) or "").hostname in _OVER_WEBSOCKET


def _api(provider: Provider, terms: RouteTerms) -> Api:
    return terms.api or (provider.api if isinstance(provider, OpenAIProvider) else "chat")
