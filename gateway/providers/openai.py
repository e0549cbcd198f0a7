"""Servers that speak OpenAI's chat completions: OpenAI, vLLM, Ollama, OpenRouter, and so on."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from ..config.schema import Provider, Route
from ..core.call import Headers, Origin
from ..core.pricing import Prices
from ..core.routing.deployment import Deployment
from ..core.timeouts import Timeouts

_JSON = b"application/json"
_EVENTS = b"text/event-stream"


def describe(
    name: str, provider: Provider, route: Route, timeouts: Timeouts, user_agent: bytes
) -> Deployment:
    """Describe calls to `route.model` of the provider called `name`; all checks are past."""
    assert provider.base_url is not None
    url = urlsplit(provider.base_url)
    assert url.hostname is not None
    return Deployment(
        provider=name,
        model=route.model,
        model_json=msgspec.json.encode(route.model),
        origin=Origin(
            scheme=url.scheme,
            host=url.hostname,
            port=url.port or (443 if url.scheme == "https" else 80),
            ca_file=provider.ca_file,
            max_connections=provider.max_connections,
        ),
        target=url.path.rstrip("/").encode("ascii") + b"/chat/completions",
        stream_headers=_headers(provider, _EVENTS, user_agent),
        plain_headers=_headers(provider, _JSON, user_agent),
        timeouts=timeouts.override(provider.timeouts).override(route.timeouts),
        prices=Prices(
            input=route.input_price,
            output=route.output_price,
            cached_input=route.cached_input_price,
        ),
        weight=route.weight,
        stream_usage=provider.stream_usage,
    )


def _headers(provider: Provider, accept: bytes, user_agent: bytes) -> Headers:
    found = {
        b"content-type": _JSON,
        b"accept": accept,
        # A compressed stream cannot be relayed event by event, and an inflated body has no
        # bound (CVE-2026-84382 in httpx2).
        b"accept-encoding": b"identity",
        b"user-agent": user_agent,
    }
    if provider.api_key:
        found[b"authorization"] = b"Bearer " + provider.api_key.encode("latin-1")
    for name, value in provider.headers.items():
        # The operator's word is last: Azure, say, wants `api-key` and no Authorization.
        found[name.lower().encode("ascii")] = value.encode("latin-1")
    return tuple((name, value) for name, value in found.items() if value)
