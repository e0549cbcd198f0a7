"""Servers that speak OpenAI's chat completions: OpenAI, vLLM, Ollama, OpenRouter, and so on."""

from __future__ import annotations

from typing import Final

from ..kind import ProviderKind
from ..openai_compatible import OpenAICompatible


class OpenAI(OpenAICompatible):
    name = "openai"


KIND: Final[ProviderKind] = OpenAI()
