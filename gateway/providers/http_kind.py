"""The base of every kind that is called with a JSON body and a key in a header.

A kind extends it with the dialect that its servers speak, and where they differ: another default
for the base URL, other headers for a key, other words in its refusals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from ..core.dialects.base import Dialect, ReasoningForm
from ..core.dialects.counting.counter import CountedAt
from ..core.dialects.model_terms import USUAL, ModelTerms
from ..core.routing.call import Call, Headers, Origin
from ..core.routing.capabilities.declared import Capabilities
from ..core.routing.deployment import Credential, Deployment, Prepare, Renew
from ..core.wire.hops import HOP
from .capabilities import text_only
from .kind import AccessToken, Place, ProviderKind, RouteTerms
from .overrides import EVERYWHERE
from .presets.catalogue import refused_at
from .quirks.fitting import fit_of
from .quirks.refusals import with_quirks
from .settings import Provider

_JSON = b"application/json"
_EVENTS = b"text/event-stream"
_BEARER = b"Bearer "
# Seconds for the connection of a question that a person waits for.
_CONNECT = 10.0


class HttpKind(ProviderKind):
    """`base_url` is where servers of this kind are if a table has none, `models_path` their list.

    `from_callers` are the headers that a caller's go on in, with what is sent if it has none.
    `beside` are the other operations of the API that requests are sent to as they come. Which of
    them a server has it says itself: what it answers to the others is relayed.
    """

    base_url: str | None = None
    models_path: str = "/models"
    overrides = EVERYWHERE
    from_callers: tuple[tuple[bytes, bytes | None], ...] = ()
    beside: tuple[Dialect, ...] = ()

    def address(self, provider: Provider) -> str | None:
        return provider.base_url or self.base_url

    def describe(
        self, name: str, provider: Provider, place: Place, terms: RouteTerms
    ) -> Deployment:
        origin, path = self._located(provider, place)
        can = self.capabilities_of(terms.model).override(provider.capabilities)
        can = can.override(terms.capabilities)
        most = terms.max_output_tokens or can.max_output_tokens
        longest = terms.longest_answer
        dialect = self.spoken(provider, terms)
        return Deployment(
            provider=name,
            model=terms.model,
            model_json=msgspec.json.encode(terms.model),
            origin=origin,
            dialect=dialect,
            target=dialect.target(path, terms.model, stream=False),
            stream_target=dialect.target(path, terms.model, stream=True),
            refusals=with_quirks(self.refusals, provider.quirks),
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
            from_callers=tuple(self._from_callers(provider)),
            count_target=dialect.count_target(path, terms.model),
            counter=self.counter(provider, terms, path),
            capabilities=can if can.restricts else None,
            reasoning=terms.reasoning or self.reasoning_of(terms.model),
            default_max_tokens=most or _least(self.usual_max_tokens(terms.model), longest),
            max_output_tokens=most or longest,
            drops=terms.drops,
            base_path=path,
            overrides=self.overrides,
            caches_prompts=terms.caches_prompts,
            terms=self.terms_of(
                terms.model, origin.host, dialect, can, _refused(provider, origin.host)
            ),
            fit=fit_of(provider.quirks),
            context=can.context_tokens or terms.context,
            longest_answer=None if most else longest,
            usage_rule=provider.quirks.usage,
        )

    def capabilities_of(self, model: str) -> Capabilities:
        """Return what is known of a model by its name, whoever serves it."""
        return text_only(model)

    def reasoning_of(self, model: str) -> ReasoningForm:
        """Return how a model is asked to reason, if its route does not say."""
        return "none"

    def terms_of(
        self,
        model: str,
        host: str,
        dialect: Dialect,
        can: Capabilities,
        refused: frozenset[str],
    ) -> ModelTerms:
        """Return what a model takes of what its API has a form for.

        `refused` are members of a body that its provider answers with an error.
        """
        return USUAL

    def usual_max_tokens(self, model: str) -> int:
        """Return the tokens of an answer that every such model allows."""
        return 8192

    def counter(self, provider: Provider, terms: RouteTerms, path: bytes) -> CountedAt | None:
        """Return how a prompt's tokens are counted, below the `path` of the base URL."""
        return None

    def spoken(self, provider: Provider, terms: RouteTerms) -> Dialect:
        """Return the dialect in which a provider is asked for what a caller asks in another."""
        return self.dialect

    def operations(self, provider: Provider, terms: RouteTerms) -> tuple[Dialect, ...]:
        """Return what beside its dialect a provider takes on a route."""
        return self.beside

    def probe_call(self, name: str, provider: Provider, place: Place) -> Call:
        """Describe a GET with the first key."""
        assert provider.probe is not None
        return self._get(provider, place, provider.probe.path, provider.probe.timeout)

    def models_call(self, name: str, provider: Provider, place: Place) -> Call:
        """Describe a GET with the first key, and what the API wants in the headers."""
        call = self._get(provider, place, self.models_path, _CONNECT)
        fixed = tuple((name, value) for name, value in self.from_callers if value is not None)
        return msgspec.structs.replace(call, headers=(*fixed, *call.headers))

    def _get(self, provider: Provider, place: Place, path: str, timeout: float) -> Call:
        origin, base = self._located(provider, place)
        key = provider.api_keys[0] if provider.api_keys else provider.api_key or ""
        headers = self._headers(provider, place, key, _JSON)
        return Call(
            origin=origin,
            method=b"GET",
            target=base + path.encode("ascii"),
            headers=tuple(header for header in headers if header[0] != b"content-type"),
            body=b"",
            connect_timeout=timeout,
        )

    def _from_callers(self, provider: Provider) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the headers that callers choose, but for those that the table sets itself."""
        own = {name.lower().encode("ascii") for name in provider.headers}
        for name, default in self.from_callers:
            if name not in own or default is None:
                yield name, default

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
        tokens = provider.token_source
        source = "" if tokens is None else msgspec.json.encode(tokens).decode()
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
        if place.instance:
            found[HOP] = place.instance
        if key:
            name, value = self.authorization(key)
            if own := provider.quirks.key_header:
                name, value = own.lower().encode("ascii"), key.encode("latin-1")
            found[name] = value
        for name_, text in provider.headers.items():
            # The operator's word is last: Azure, say, wants `api-key` and no Authorization.
            found[name_.lower().encode("ascii")] = text.encode("latin-1")
        return tuple((name, value) for name, value in found.items() if value)


def _refused(provider: Provider, host: str) -> frozenset[str]:
    """Return what a provider refuses: as its table says, or the preset of its host."""
    return frozenset(provider.quirks.refuses) or refused_at(host)


def _least(tokens: int, other: int | None) -> int:
    return tokens if other is None else min(tokens, other)


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
