"""A deployment as translations see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.dialects.base import Dialect, ReasoningForm
from gateway.core.dialects.model_terms import USUAL, ModelTerms
from gateway.core.records.counting import UsageRule


@dataclass
class To:
    """A deployment that speaks `dialect`."""

    dialect: Dialect
    model_json: bytes = b'"real"'
    stream_usage: bool = True
    usage_rule: UsageRule = "usual"
    provider: str = "p"
    reasoning: ReasoningForm = "none"
    default_max_tokens: int = 8192
    max_output_tokens: int | None = None
    drops: bool = False
    caches_prompts: bool = False
    terms: ModelTerms = USUAL
    targets: Mapping[str, bytes] = field(default_factory=dict)
