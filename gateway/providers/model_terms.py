"""What models and providers take of their API, as far as their documentation is plain about it.

Asked only for requests that are translated: what a caller writes in the provider's own API is its
own affair, and the provider says what is wrong with it. Where nothing is known, everything goes.
"""

from __future__ import annotations

import re
from typing import Final

from ..core.dialects.base import Dialect
from ..core.dialects.model_terms import Effort, ModelTerms, Sampling
from ..core.dialects.openai_chat.dialect import OPENAI_CHAT

# OpenAI's own, and those of Azure that have its models (learn.microsoft.com, "Azure OpenAI").
_OPENAI: Final = re.compile(
    r"(?:^|\.)(?:api\.openai\.com|openai\.azure\.com|cognitiveservices\.azure\.com)$"
)
_XAI: Final = "api.x.ai"
_ANTHROPIC: Final = "api.anthropic.com"
# platform.openai.com/docs/api-reference/chat/create: `metadata` is for completions that are stored,
# `verbosity` is of GPT-5 and later.
_OPENAI_CHAT: Final = frozenset({"metadata"})

# platform.openai.com/docs/guides/reasoning: models that reason take no `temperature`, `top_p` or
# `stop`; from 5.1 on they do where they are not asked to reason, but for those of Codex.
_REASONS: Final = re.compile(r"(?:^|/)(?:o[1-9]|gpt-(?:[5-9]|[12]\d)|codex)(?!.*-chat)")
_MAY_REASON: Final = re.compile(r"(?:^|/)gpt-(?:5\.[1-9]|[6-9]|[12]\d)(?!.*-(?:chat|codex|pro))")
_GPT: Final = re.compile(r"(?:^|/)(?:gpt-(?:[5-9]|[12]\d)|codex)")
# The same page, "Reasoning effort", and those of the models. The first that matches.
_EFFORTS: Final[tuple[tuple[re.Pattern[str], tuple[Effort, ...]], ...]] = (
    (re.compile(r"gpt-5-pro"), ("high",)),
    (re.compile(r"gpt-5\.1-codex-max|gpt-5\.[2-9].*-codex"), ("low", "medium", "high", "xhigh")),
    (re.compile(r"gpt-5\.[2-9].*-pro"), ("medium", "high", "xhigh")),
    (re.compile(r"codex"), ("low", "medium", "high")),
    (re.compile(r"gpt-5\.1"), ("none", "low", "medium", "high")),
    (re.compile(r"gpt-(?:5\.[2-9]|[6-9]|[12]\d)"), ("none", "low", "medium", "high", "xhigh")),
    (re.compile(r"gpt-5"), ("minimal", "low", "medium", "high")),
    (re.compile(r"grok-3-mini"), ("low", "high")),
    (re.compile(r"gemini-2\.5-flash"), ("none", "low", "medium", "high")),
    (re.compile(r"gemini-[3-9].*flash"), ("minimal", "low", "medium", "high")),
)
# platform.openai.com/docs/guides/tools-web-search, "Limitations"; docs.x.ai, "Search tools".
_SEARCHES: Final = re.compile(
    r"(?:^|/)(?:gpt-4o|gpt-4\.1(?!-nano)|gpt-(?:[5-9]|[12]\d)|o3(?!-mini)|o4|grok-[4-9])"
)
# The models of chat completions that search, and do so for every request.
_SEARCH_MODEL: Final = re.compile(r"(?:^|/)gpt-.*-search")

# ai.google.dev/gemini-api/docs/thinking, "Thinking levels": `gemini-3-pro` has two, later ones of
# that size three; only the smaller ones have `minimal`. There is no way not to think.
_LEVELS: Final[tuple[tuple[re.Pattern[str], tuple[Effort, ...]], ...]] = (
    (re.compile(r"gemini-3-pro"), ("low", "high")),
    (re.compile(r"-pro\b"), ("low", "medium", "high")),
)
# "Grounding with Google Search", supported models: from version 2 on.
_GROUNDED: Final = re.compile(r"gemini-(?:[2-9]|\d\d|flash|pro)(?!.*-(?:image|tts|live|audio))")
_GOOGLE: Final = re.compile(r"(?:^|\.)googleapis\.com$")

# platform.claude.com/docs, "What's new in Claude Opus 4.7": `temperature`, `top_p` and `top_k` are
# refused from there on; Opus 4.1 and what came after it take one of the first two.
_NO_SAMPLING: Final = re.compile(
    r"claude-(?:opus-4-(?:[7-9]|\d\d(?!\d))|(?:sonnet|haiku)-4-(?:[7-9]|\d\d(?!\d))|[a-z]+-(?:[5-9]|\d\d(?!\d)))"
)
_ONE_SAMPLER: Final = re.compile(r"claude-(?:opus-4-[1-6]|(?:sonnet|haiku)-4-[5-6])(?!\d)")
# "Web search tool", supported models: 3.5 Haiku, 3.7, and all of version 4 and later.
_NO_SEARCH: Final = re.compile(r"claude-(?:instant|2|3-(?:opus|sonnet|haiku|5-sonnet))")
_CLAUDE_EFFORTS: Final[tuple[Effort, ...]] = ("low", "medium", "high", "xhigh", "max")


def openai_terms(
    model: str,
    host: str,
    dialect: Dialect,
    *,
    searches: bool | None = None,
    refused: frozenset[str] = frozenset(),
) -> ModelTerms:
    """Return the terms of a model behind one of OpenAI's APIs.

    `searches` is what is declared, and `refused` are members that its provider refuses of all.
    """
    is_openai = _OPENAI.search(host) is not None
    chat = dialect is OPENAI_CHAT
    if is_openai and chat:
        refused |= _OPENAI_CHAT
    if is_openai and not _GPT.search(model):
        refused |= {"verbosity"}
    sampling: Sampling = "all"
    if _MAY_REASON.search(model):
        sampling = "unless_reasoning"
    elif _REASONS.search(model):
        sampling = "none"
    known = _SEARCH_MODEL.search(model) if chat else _SEARCHES.search(model)
    own = known is not None and (is_openai or (host == _XAI and not chat))
    efforts = next((found for pattern, found in _EFFORTS if pattern.search(model)), None)
    return ModelTerms(
        sampling=sampling,
        efforts=efforts or ("low", "medium", "high"),
        refused=refused,
        stops=not _REASONS.search(model),
        searches=own if searches is None else searches,
    )


def gemini_terms(model: str, host: str, *, searches: bool | None) -> ModelTerms:
    """Return the terms of a model behind Gemini's own API."""
    efforts = next((found for pattern, found in _LEVELS if pattern.search(model)), None)
    own = _GOOGLE.search(host) is not None and _GROUNDED.search(model) is not None
    return ModelTerms(
        efforts=efforts or ("minimal", "low", "medium", "high"),
        searches=own if searches is None else searches,
    )


def anthropic_terms(model: str, host: str, *, searches: bool | None) -> ModelTerms:
    """Return the terms of a model behind Anthropic's Messages."""
    sampling: Sampling = "all"
    if _NO_SAMPLING.search(model):
        sampling = "none"
    elif _ONE_SAMPLER.search(model):
        sampling = "one"
    own = host == _ANTHROPIC and "claude" in model and not _NO_SEARCH.search(model)
    return ModelTerms(
        sampling=sampling,
        efforts=_CLAUDE_EFFORTS,
        searches=own if searches is None else searches,
    )
