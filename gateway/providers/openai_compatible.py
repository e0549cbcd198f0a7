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
from ..core.dialects.openai_chat.dialect import OPENAI_CHAT
from ..core.dialects.openai_completions.dialect import OPENAI_COMPLETIONS
from ..core.dialects.openai_numbers.dialect import OPENAI_EMBEDDINGS, OPENAI_MODERATIONS
from ..core.dialects.openai_responses.dialect import (
    OPENAI_INPUT_TOKENS,
    OPENAI_KEPT_RESPONSES,
    OPENAI_RESPONSES,
)
from . import failures
from .http_kind import HttpKind
from .kind import RouteTerms
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
# Which of OpenAI's two APIs for answers a server is asked by.
Api = Literal["chat", "responses", "both"]


class OpenAIProvider(Provider, frozen=True):
    """`api` says which of OpenAI's two APIs for answers the server has, beside its other ones."""

    api: Api = "chat"


class OpenAICompatible(HttpKind):
    settings: type[Provider] = OpenAIProvider
    dialect = OPENAI_CHAT
    beside: tuple[Dialect, ...] = (OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS, OPENAI_MODERATIONS)
    refusals = failures.OPENAI_COMPATIBLE

    def reasoning_of(self, model: str) -> ReasoningForm:
        return "effort" if _REASONING.search(model) else "none"

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        if provider.base_url is None and self.base_url is None:
            yield "base_url", "missing; for OpenAI itself it is https://api.openai.com/v1"
        if (provider.base_url or "").rstrip("/").endswith("/chat/completions"):
            yield "base_url", "ends in /chat/completions; stop before it, as in .../v1"

    def spoken(self, provider: Provider, terms: RouteTerms) -> Dialect:
        return self.dialect if _api(provider, terms) == "chat" else OPENAI_RESPONSES

    def notes(self, provider: Provider) -> Iterator[tuple[str, str]]:
        url = urlsplit(provider.base_url or "")
        if url.hostname and not url.path.strip("/") and url.hostname not in _AT_THE_ROOT:
            meant = f"{url.geturl().rstrip('/')}/v1"
            yield "base_url", f"has no path, and most servers have their API below one: {meant}"

    def operations(self, provider: Provider, terms: RouteTerms) -> tuple[Dialect, ...]:
        """Return what a provider takes on a route as it comes, beside what it speaks."""
        api = _api(provider, terms)
        if api == "chat":
            return self.beside
        return (*self.beside, *RESPONSES, *((self.dialect,) if api == "both" else ()))


def _api(provider: Provider, terms: RouteTerms) -> Api:
    return terms.api or (provider.api if isinstance(provider, OpenAIProvider) else "chat")
