"""A deployment as translations see it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.dialects.base import Dialect, ReasoningForm


@dataclass
class To:
    """A deployment that speaks `dialect`."""

    dialect: Dialect
    model_json: bytes = b'"real"'
    stream_usage: bool = True
    provider: str = "p"
    reasoning: ReasoningForm = "none"
    default_max_tokens: int = 8192
    max_output_tokens: int | None = None
    drops: bool = False
    caches_prompts: bool = False
