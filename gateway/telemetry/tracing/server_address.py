"""Where a provider is, and what OpenTelemetry's conventions call it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ...providers.settings import Provider

# The well-known values of `gen_ai.provider.name` (semantic-conventions-genai,
# docs/gen-ai/gen-ai-spans.md), by the end of the host's name with a dot before it.
_WELL_KNOWN: Final = {
    ".api.openai.com": "openai",
    ".openai.azure.com": "azure.ai.openai",
    ".services.ai.azure.com": "azure.ai.inference",
    ".api.anthropic.com": "anthropic",
    ".api.cohere.com": "cohere",
    ".api.cohere.ai": "cohere",
    ".api.deepseek.com": "deepseek",
    ".generativelanguage.googleapis.com": "gcp.gemini",
    ".aiplatform.googleapis.com": "gcp.vertex_ai",
    "-aiplatform.googleapis.com": "gcp.vertex_ai",  # europe-west1-aiplatform
    ".api.groq.com": "groq",
    ".ml.cloud.ibm.com": "ibm.watsonx.ai",
    ".api.mistral.ai": "mistral_ai",
    ".api.moonshot.ai": "moonshot_ai",
    ".api.moonshot.cn": "moonshot_ai",
    ".api.perplexity.ai": "perplexity",
    ".api.x.ai": "x_ai",
}
# Other names below amazonaws.com are any customer's machines.
_BEDROCK: Final = re.compile(r"bedrock-[a-z-]+\.[a-z0-9-]+\.amazonaws\.com")


class ServerAddress(msgspec.Struct, frozen=True):
    """What a span says of one provider; None if it is not known."""

    name: str
    address: str | None = None
    port: int | None = None


def place_of(name: str, provider: Provider) -> ServerAddress:
    """Return where `provider` is; an unknown one keeps the `name` the configuration gives it."""
    if provider.base_url is None:
        return ServerAddress(name)
    url = urlsplit(provider.base_url)
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    return ServerAddress(_well_known(host) or name, host, port)


def _well_known(host: str) -> str | None:
    if _BEDROCK.fullmatch(host):
        return "aws.bedrock"
    dotted = "." + host
    return next((value for end, value in _WELL_KNOWN.items() if dotted.endswith(end)), None)
