"""Ollama by its own API, of one's own or in its cloud: thinking, images, schemas, keep_alive.

Its API like OpenAI's is `kind = "openai"` with a base_url that ends in /v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ...core.dialects.base import ReasoningForm
from ...core.dialects.ollama.dialect import OLLAMA_CHAT, OLLAMA_EMBED, OLLAMA_GENERATE
from .. import failures
from ..http_kind import HttpKind
from ..kind import ProviderKind
from ..settings import Provider

# ollama.com/search?c=thinking. A model that does not think answers `think` with a 400; a route
# says `reasoning = "effort"` for one that is not in here.
_THINKS: Final = re.compile(
    r"(?:^|/)(?:deepseek-(?:r1|v3\.[1-9])|gpt-oss|magistral|qwen3(?!-coder)|qwq|glm-[4-9]"
    r"|kimi-k2-thinking|minimax-m2)"
)


class Ollama(HttpKind):
    name = "ollama"
    dialect = OLLAMA_CHAT
    beside = (OLLAMA_GENERATE, OLLAMA_EMBED)
    refusals = failures.OPENAI_COMPATIBLE
    base_url = "http://127.0.0.1:11434"

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        path = (provider.base_url or "").rstrip("/")
        for end in ("/v1", "/api"):
            if path.endswith(end):
                meant = 'that is kind = "openai"' if end == "/v1" else "stop before it"
                yield "base_url", f"ends in {end}; {meant}, as in http://127.0.0.1:11434"

    def reasoning_of(self, model: str) -> ReasoningForm:
        return "effort" if _THINKS.search(model) else "none"


KIND: Final[ProviderKind] = Ollama()
