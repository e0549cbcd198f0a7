"""Servers that speak Anthropic's Messages: Anthropic itself, and what other vendors have like it.

`base_url` is as Anthropic's SDKs take it, without the version: https://api.anthropic.com, or
https://api.deepseek.com/anthropic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ...core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from ...core.dialects.base import Dialect, ReasoningForm
from ...core.dialects.counting.counter import CountedAt
from ...core.dialects.counting.counters import MESSAGES
from ...core.dialects.model_terms import ModelTerms
from ...core.routing.capabilities.declared import Capabilities
from .. import failures
from ..http_kind import HttpKind
from ..kind import ProviderKind, RouteTerms
from ..model_terms import anthropic_terms
from ..settings import Provider

# docs.anthropic.com/en/api/versioning: the one version that there is; SDKs and Claude Code send
# theirs, which goes on as it came.
_VERSION: Final = b"2023-06-01"

# docs.anthropic.com, "Extended thinking" and "Models overview": what came before 3.7 does not think
# and answers with 4096 tokens at most; what came before 4.6 wants a budget, and all of version 4
# answer with 32,000 tokens at least. Other vendors' models take a budget where they think.
_NO_THINKING: Final = re.compile(r"claude-(?:instant|2|3-(?:opus|sonnet|haiku|5))")
_BUDGET: Final = re.compile(
    r"claude-(?:3-7|(?:opus|sonnet|haiku)-4(?:-[0-5])?(?:$|[-@:.]\d{8}|@|-v))"
)


class Anthropic(HttpKind):
    name = "anthropic"
    dialect = ANTHROPIC_MESSAGES
    refusals = failures.ANTHROPIC
    base_url = "https://api.anthropic.com"
    models_path = "/v1/models?limit=1000"  # the most of a page (docs.anthropic.com, "List Models")
    # A beta in the header and its members in the body are a pair: either one alone is refused
    # (code.claude.com/docs/en/llm-gateway-protocol). All values go on: their list is open.
    passed_headers = frozenset({b"anthropic-beta", b"anthropic-version"})
    from_callers: tuple[tuple[bytes, bytes | None], ...] = (
        (b"anthropic-version", _VERSION),
        (b"anthropic-beta", None),
    )

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        path = (provider.base_url or "").rstrip("/")
        for end in ("/messages", "/v1"):
            if path.endswith(end):
                yield "base_url", f"ends in {end}; stop before /v1, as in https://api.anthropic.com"
                return

    def reasoning_of(self, model: str) -> ReasoningForm:
        if _NO_THINKING.search(model):
            return "none"
        return "budget" if _BUDGET.search(model) or "claude" not in model else "adaptive"

    def terms_of(
        self,
        model: str,
        host: str,
        dialect: Dialect,
        can: Capabilities,
        refused: frozenset[str],
    ) -> ModelTerms:
        return anthropic_terms(model, host, searches=can.web_search)

    def usual_max_tokens(self, model: str) -> int:
        if _NO_THINKING.search(model):
            return 4096
        return 32_000 if "claude" in model else 8192

    def counter(self, provider: Provider, terms: RouteTerms, path: bytes) -> CountedAt | None:
        target = self.dialect.count_target(path, terms.model)
        return None if target is None else CountedAt(target, MESSAGES)

    def authorization(self, key: str) -> tuple[bytes, bytes]:
        if key.startswith("sk-ant-oat"):
            # A token of a login and no key (`claude setup-token`).
            return super().authorization(key)
        return b"x-api-key", key.encode("latin-1")


KIND: Final[ProviderKind] = Anthropic()
