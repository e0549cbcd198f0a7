"""Cohere by its own API, version 2: thinking, documents and citations, schemas, embeddings, ranks.

Its API like OpenAI's is `kind = "openai"` with a base_url that ends in /compatibility/v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ...core.dialects.base import ReasoningForm
from ...core.dialects.cohere.dialect import COHERE_CHAT, COHERE_EMBED, COHERE_RERANK
from .. import failures
from ..http_kind import HttpKind
from ..kind import ProviderKind
from ..overrides import EVERYWHERE
from ..settings import Provider

# docs.cohere.com/docs/reasoning: the models that think, and take `thinking`.
_THINKS: Final = re.compile(r"command-a-(?:reasoning|plus)|(?:^|[-/])north")
# The most of a page (docs.cohere.com/reference/list-models).
_LIST: Final = "/v1/models?page_size=1000"


class Cohere(HttpKind):
    name = "cohere"
    dialect = COHERE_CHAT
    beside = (COHERE_EMBED, COHERE_RERANK)
    refusals = failures.OPENAI_COMPATIBLE
    overrides = EVERYWHERE
    base_url = "https://api.cohere.com"
    models_path = _LIST
    # docs.cohere.com/reference/chat, "Headers": the project that a request is of.
    from_callers = ((b"x-client-name", None),)
    passed_headers = frozenset({b"x-client-name"})

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        path = (provider.base_url or "").rstrip("/")
        for end in ("/compatibility/v1", "/v1", "/v2", "/chat"):
            if path.endswith(end):
                meant = 'that is kind = "openai"' if "compatibility" in end else "stop before it"
                yield "base_url", f"ends in {end}; {meant}, as in {self.base_url}"
                return

    def reasoning_of(self, model: str) -> ReasoningForm:
        return "budget" if _THINKS.search(model) else "none"

    def usual_max_tokens(self, model: str) -> int:
        return 4096


KIND: Final[ProviderKind] = Cohere()
