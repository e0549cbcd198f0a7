"""The base of every kind that speaks OpenAI's chat completions.

A kind extends it where its servers differ: another default for the base URL, other headers for
a key, other words in its refusals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from ..core.dialects.base import Dialect
from ..core.dialects.openai_chat.dialect import OPENAI_CHAT
from ..core.dialects.openai_completions.dialect import OPENAI_COMPLETIONS
from ..core.dialects.openai_numbers.dialect import OPENAI_EMBEDDINGS, OPENAI_MODERATIONS
from ..core.dialects.openai_responses.dialect import (
    OPENAI_INPUT_TOKENS,
    OPENAI_KEPT_RESPONSES,
    OPENAI_RESPONSES,
)
from ..core.routing.call import Call, Headers, Origin
from ..core.routing.deployment import Credential, Deployment, Prepare, Renew
from . import failures
from .kind import AccessToken, Place, ProviderKind, RouteTerms
from .settings import Provider

RESPONSES: Final = (OPENAI_RESPONSES, OPENAI_KEPT_RESPONSES, OPENAI_INPUT_TOKENS)
_JSON = b"application/json"
_EVENTS = b"text/event-stream"
_BEARER = b"Bearer "


class OpenAIProvider(Provider, frozen=True):
    """`api` says which of OpenAI's two APIs for answers the server has, beside its other ones."""

    api: Literal["chat", "responses"] = "chat"


class OpenAICompatible(ProviderKind):
    """`base_url` is where servers of this kind are if a table has none.

    `beside` are the other operations of the API that requests are sent to as they come. Which of
    them a server has it says itself: what it answers to the others is relayed.
    """

    settings: type[Provider] = OpenAIProvider

    dialect = OPENAI_CHAT
    beside: tuple[Dialect, ...] = (OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS, OPENAI_MODERATIONS)
    refusals = failures.OPENAI_COMPATIBLE
    base_url: str | None = None

    def address(self, provider: Provider) -> str | None:
        return provider.base_url or self.base_url

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        if provider.base_url is None and self.base_url is None:
            yield "base_url", "missing; for OpenAI itself it is https://api.openai.com/v1"
        if (provider.base_url or "").rstrip("/").endswith("/chat/completions"):
            yield "base_url", "ends in /chat/completions; stop before it, as in .../v1"

    def describe(
        self, name: str, provider: Provider, place: Place, terms: RouteTerms
    ) -> Deployment:
        origin, path = self._located(provider, place)
        return Deployment(
            provider=name,
            model=terms.model,
            model_json=msgspec.json.encode(terms.model),
            origin=origin,
            dialect=self.dialect,
            target=self.dialect.target(path, terms.model, stream=False),
            stream_target=self.dialect.target(path, terms.model, stream=True),
            refusals=self.refusals,
            credentials=self._credentials(provider, place),
            timeouts=terms.timeouts,
            prices=terms.prices,
            prepare=None if place.token is None else _with_token(place.token),
            renew=None if place.token is None else _renewed(place.token),
            weight=terms.weight,
            stream_usage=provider.stream_usage,
            pattern=terms.pattern,
            targets={
                each.name: each.target(path, terms.model, stream=False)
                for each in self.operations(provider, terms)
            },
        )

    def operations(self, provider: Provider, terms: RouteTerms) -> tuple[Dialect, ...]:
        """Return what beside chat completions a provider takes on a route."""
        api = terms.api or (provider.api if isinstance(provider, OpenAIProvider) else "")
        return self.beside + RESPONSES if api == "responses" else self.beside

    def probe_call(self, name: str, provider: Provider, place: Place) -> Call:
        """Describe a GET with the first key."""
        assert provider.probe is not None
        origin, path = self._located(provider, place)
        key = provider.api_keys[0] if provider.api_keys else provider.api_key or ""
        headers = self._headers(provider, place, key, _JSON)
        return Call(
            origin=origin,
            method=b"GET",
            target=path + provider.probe.path.encode("ascii"),
            headers=tuple(header for header in headers if header[0] != b"content-type"),
            body=b"",
            connect_timeout=provider.probe.timeout,
        )

    def authorization(self, key: str) -> tuple[bytes, bytes]:
        """Return the header that shows a key."""
        return b"authorization", b"Bearer " + key.encode("latin-1")

    def _located(self, provider: Provider, place: Place) -> tuple[Origin, bytes]:
        """Return where the provider is, and the path that those of its API begin with."""
        url = urlsplit(place.base_url)
        assert url.hostname is not None
        origin = Origin(
            scheme=url.scheme,
            host=url.hostname,
            port=url.port or (443 if url.scheme == "https" else 80),
            ca_file=provider.ca_file,
            max_connections=provider.max_connections,
        )
        return origin, url.path.rstrip("/").encode("ascii")

    def _credentials(self, provider: Provider, place: Place) -> tuple[Credential, ...]:
        keys = provider.api_keys or (provider.api_key or "",)
        # Where tokens come from stands for the key, so that another secret is another key.
        source = "" if provider.oauth is None else msgspec.json.encode(provider.oauth).decode()
        return tuple(
            Credential(
                stream_headers=self._headers(provider, place, key, _EVENTS),
                plain_headers=self._headers(provider, place, key, _JSON),
                id=_digest(key or source),
                label=f"key {number}",
            )
            for number, key in enumerate(keys, 1)
        )

    def _headers(self, provider: Provider, place: Place, key: str, accept: bytes) -> Headers:
        found = {
            b"content-type": _JSON,
            b"accept": accept,
            # A compressed stream cannot be relayed event by event, and an inflated body has no
            # bound (CVE-2026-84382 in httpx2).
            b"accept-encoding": b"identity",
            b"user-agent": place.user_agent,
        }
        if key:
            name, value = self.authorization(key)
            found[name] = value
        for name_, text in provider.headers.items():
            # The operator's word is last: Azure, say, wants `api-key` and no Authorization.
            found[name_.lower().encode("ascii")] = text.encode("latin-1")
        return tuple((name, value) for name, value in found.items() if value)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:16] if secret else ""


def _with_token(token: AccessToken) -> Prepare:
    async def prepare(call: Call, credential: Credential, epoch: float) -> Call:
        bearer = (b"authorization", _BEARER + await token.get())
        return msgspec.structs.replace(call, headers=(*call.headers, bearer))

    return prepare


def _renewed(token: AccessToken) -> Renew:
    def renew(call: Call) -> bool:
        shown = dict(call.headers).get(b"authorization", b"")
        return token.refused(shown.removeprefix(_BEARER))

    return renew
