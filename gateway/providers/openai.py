"""Servers that speak OpenAI's chat completions: OpenAI, vLLM, Ollama, OpenRouter, and so on."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

import msgspec

from ..config.schema import Provider, Route
from ..core.records.pricing import Prices
from ..core.routing.call import Call, Headers, Origin
from ..core.routing.deployment import Credential, Deployment
from ..core.routing.timeouts import Timeouts

_JSON = b"application/json"
_EVENTS = b"text/event-stream"


def describe(
    name: str,
    provider: Provider,
    route: Route,
    timeouts: Timeouts,
    user_agent: bytes,
    pattern: str | None = None,
) -> Deployment:
    """Describe calls to `route.model` of the provider called `name`; all checks are past."""
    origin, path = _located(provider)
    return Deployment(
        provider=name,
        model=route.model,
        model_json=msgspec.json.encode(route.model),
        origin=origin,
        target=path + b"/chat/completions",
        credentials=_credentials(provider, user_agent),
        timeouts=timeouts.override(provider.timeouts).override(route.timeouts),
        prices=Prices(
            input=route.input_price,
            output=route.output_price,
            cached_input=route.cached_input_price,
        ),
        weight=route.weight,
        stream_usage=provider.stream_usage,
        pattern=pattern,
    )


def probe_call(name: str, provider: Provider, user_agent: bytes) -> Call:
    """Describe the health check of the provider called `name`, made with its first key."""
    assert provider.probe is not None
    origin, path = _located(provider)
    key = provider.api_keys[0] if provider.api_keys else provider.api_key or ""
    headers = _headers(provider, key, _JSON, user_agent)
    return Call(
        origin=origin,
        method=b"GET",
        target=path + provider.probe.path.encode("ascii"),
        headers=tuple(header for header in headers if header[0] != b"content-type"),
        body=b"",
        connect_timeout=provider.probe.timeout,
    )


def _located(provider: Provider) -> tuple[Origin, bytes]:
    """Return where the provider is, and the path that those of its API begin with."""
    assert provider.base_url is not None
    url = urlsplit(provider.base_url)
    assert url.hostname is not None
    origin = Origin(
        scheme=url.scheme,
        host=url.hostname,
        port=url.port or (443 if url.scheme == "https" else 80),
        ca_file=provider.ca_file,
        max_connections=provider.max_connections,
    )
    return origin, url.path.rstrip("/").encode("ascii")


def _credentials(provider: Provider, user_agent: bytes) -> tuple[Credential, ...]:
    keys = provider.api_keys or (provider.api_key or "",)
    return tuple(
        Credential(
            stream_headers=_headers(provider, key, _EVENTS, user_agent),
            plain_headers=_headers(provider, key, _JSON, user_agent),
            id=hashlib.sha256(key.encode("latin-1")).hexdigest()[:16] if key else "",
            label=f"key {number}",
        )
        for number, key in enumerate(keys, 1)
    )


def _headers(provider: Provider, key: str, accept: bytes, user_agent: bytes) -> Headers:
    found = {
        b"content-type": _JSON,
        b"accept": accept,
        # A compressed stream cannot be relayed event by event, and an inflated body has no
        # bound (CVE-2026-84382 in httpx2).
        b"accept-encoding": b"identity",
        b"user-agent": user_agent,
    }
    if key:
        found[b"authorization"] = b"Bearer " + key.encode("latin-1")
    for name, value in provider.headers.items():
        # The operator's word is last: Azure, say, wants `api-key` and no Authorization.
        found[name.lower().encode("ascii")] = value.encode("latin-1")
    return tuple((name, value) for name, value in found.items() if value)
