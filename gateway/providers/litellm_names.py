"""LiteLLM's names of providers, and what each is here: a kind, a base URL, a variable with its key.

From docs.litellm.ai, "Providers": `PREFIX/MODEL` says whose model it is, and each provider has a
variable of its own. Base URLs are those of the providers' own documentation for their API in the
form of a kind of ours. Names that are missing have an API of another form.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class ForeignProvider(NamedTuple):
    """`suffix` is what our base URL has behind theirs, unless it stands there already."""

    kind: str
    base_url: str | None
    variable: str | None
    suffix: str = ""


def _openai(base_url: str | None, variable: str | None, suffix: str = "") -> ForeignProvider:
    return ForeignProvider("openai", base_url, variable, suffix)


_OLLAMA: Final = _openai("http://localhost:11434", None, "/v1")
_COHERE: Final = ForeignProvider("cohere", "https://api.cohere.com", "COHERE_API_KEY")
_SERVER: Final = _openai(None, None)
# learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle: the v1 API takes a key as
# OpenAI does, and needs no version.
_AZURE: Final = _openai(None, "AZURE_API_KEY", "/openai/v1")

PREFIXES: Final[dict[str, ForeignProvider]] = {
    "openai": _openai("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "text-completion-openai": _openai("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": ForeignProvider("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    "azure": _AZURE,
    "azure_text": _AZURE,
    "azure_ai": _AZURE,
    "gemini": ForeignProvider(
        "gemini", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY"
    ),
    "cohere": _COHERE,
    "cohere_chat": _COHERE,
    "openrouter": _openai("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "groq": _openai("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "together_ai": _openai("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    "mistral": _openai("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "codestral": _openai("https://codestral.mistral.ai/v1", "CODESTRAL_API_KEY"),
    "deepseek": _openai("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "xai": _openai("https://api.x.ai/v1", "XAI_API_KEY"),
    "perplexity": _openai("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "fireworks_ai": _openai("https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY"),
    "cerebras": _openai("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepinfra": _openai("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "nvidia_nim": _openai("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    "sambanova": _openai("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    "moonshot": _openai("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    "dashscope": _openai(
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"
    ),
    "zai": _openai("https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    "hosted_vllm": _SERVER,
    "vllm": _SERVER,
    "lm_studio": _SERVER,
    "llamafile": _SERVER,
    "litellm_proxy": _SERVER,
    "openai_like": _SERVER,
    "custom_openai": _SERVER,
    "ollama": _OLLAMA,
    "ollama_chat": _OLLAMA,
}
_PATH_OF_AZURE: Final = re.compile(r"(?<=[^/:])/(?:openai|models)(?:/.*)?$")
# Kinds whose base URL has no version, with which some give it.
_VERSIONED: Final = ("anthropic", "gemini", "cohere")
_VERSION: Final = re.compile(r"(?:/v\d\w*(?:/(?:chat|openai|messages))?|/compatibility/v1)$")
# The header of what LiteLLM calls `organization`.
ORGANIZATION: Final = "openai-organization"

# What a server is called of which only the address is known.
ANY_SERVER: Final = "openai_like"

# How LiteLLM tells the provider of a name without a prefix.
_BARE: Final = (
    (re.compile(r"(?:gpt|chatgpt|o[1-9]|text-embedding|text-moderation|omni|davinci|babbage)\b"),
     "openai"),
    (re.compile(r"claude\b"), "anthropic"),
    (re.compile(r"gemini\b"), "gemini"),
)  # fmt: skip


def split_name(model: str, given: str | None) -> tuple[str | None, str]:
    """Return whose model it is, None if that can't be told, and the provider's name of it.

    `given` is `custom_llm_provider`, which stands above the prefix.
    """
    prefix, slash, rest = model.partition("/")
    if given:
        return given, rest if slash and prefix == given else model
    if slash and prefix in PREFIXES:
        return prefix, rest
    if not slash:
        return next((whose for bare, whose in _BARE if bare.match(model)), None), model
    return None, model


def base_url(prefix: str, given: str | None) -> str | None:
    """Return our base URL for a provider of LiteLLM's, with the `api_base` that was given."""
    known = PREFIXES[prefix]
    url = (given or known.base_url or "").rstrip("/")
    if not url:
        return None
    if known.kind in _VERSIONED:
        # Ours begin before the version of the API, and that for chats.
        return _VERSION.sub("", url)
    if known.suffix and not url.endswith(("/v1", known.suffix)):
        if known is _AZURE:
            # Some give the whole path of a deployment.
            url = _PATH_OF_AZURE.sub("", url)
        return url + known.suffix
    return url
