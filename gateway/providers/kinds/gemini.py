"""Servers that speak Gemini's API: Google's own, and what other vendors have like it.

`base_url` is as google-genai takes it, without a version: https://generativelanguage.googleapis.com.
One that has a version in its path is used as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from ...core.dialects.base import Dialect, ReasoningForm
from ...core.dialects.counting.counter import CountedAt
from ...core.dialects.counting.counters import CONTENT
from ...core.dialects.gemini.dialect import (
    GEMINI,
    GEMINI_BATCH_EMBED,
    GEMINI_COUNT,
    GEMINI_EMBED,
    METHODS,
    versioned,
)
from ...core.dialects.model_terms import ModelTerms
from ...core.routing.call import Call
from ...core.routing.capabilities.declared import Capabilities
from .. import failures
from ..http_kind import HttpKind
from ..kind import Place, ProviderKind, RouteTerms
from ..model_terms import gemini_terms
from ..overrides import GEMINI as OVERRIDES
from ..settings import Provider

# ai.google.dev/gemini-api/docs/thinking: version 2.5 takes a budget, version 3 a level; what came
# before does not think. Gemma neither thinks nor calls functions
# (ai.google.dev/gemma/docs/core/gemma_on_gemini_api).
_BUDGET: Final = re.compile(r"gemini-2\.5|gemini-(?:flash|pro)-latest|robotics-er")
_LEVEL: Final = re.compile(r"gemini-(?:[3-9]|\d\d)")
_GEMMA: Final = re.compile(r"(?:^|/)gemma-[1-3]")
_PLAIN: Final = Capabilities(tools=False, structured_output=False, audio=False)


class Gemini(HttpKind):
    name = "gemini"
    dialect = GEMINI
    beside = (GEMINI_COUNT, GEMINI_EMBED, GEMINI_BATCH_EMBED)
    refusals = failures.GEMINI
    overrides = OVERRIDES
    base_url = "https://generativelanguage.googleapis.com"

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        path = (provider.base_url or "").rstrip("/")
        if path.endswith(("/models", *(f":{each}" for each in METHODS))):
            yield "base_url", f"goes on too far; stop before /v1beta, as in {self.base_url}"
        elif path.endswith("/openai"):
            yield "base_url", "is that of Google's API in OpenAI's form: kind = \"openai\""

    def reasoning_of(self, model: str) -> ReasoningForm:
        if _LEVEL.search(model):
            return "effort"
        return "budget" if _BUDGET.search(model) else "none"

    def capabilities_of(self, model: str) -> Capabilities:
        return _PLAIN if _GEMMA.search(model) else super().capabilities_of(model)

    def terms_of(
        self,
        model: str,
        host: str,
        dialect: Dialect,
        can: Capabilities,
        refused: frozenset[str],
    ) -> ModelTerms:
        return gemini_terms(model, host, searches=can.web_search)

    def models_call(self, name: str, provider: Provider, place: Place) -> Call:
        call = super().models_call(name, provider, place)
        base = call.target.removesuffix(self.models_path.encode())
        # The most of a page (ai.google.dev/api/models).
        target = versioned(base) + b"/models?pageSize=1000"
        return msgspec.structs.replace(call, target=target)

    def usual_max_tokens(self, model: str) -> int:
        return 65_536 if self.reasoning_of(model) != "none" else 8192

    def counter(self, provider: Provider, terms: RouteTerms, path: bytes) -> CountedAt | None:
        return CountedAt(GEMINI_COUNT.target(path, terms.model, stream=False), CONTENT)

    def authorization(self, key: str) -> tuple[bytes, bytes]:
        if key.startswith("ya29."):
            # An access token of Google's, and no key (cloud.google.com/docs/authentication).
            return super().authorization(key)
        return b"x-goog-api-key", key.encode("latin-1")


KIND: Final[ProviderKind] = Gemini()
