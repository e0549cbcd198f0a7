"""What a kind of provider is: the one thing that the rest of the gateway knows of providers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Literal, Protocol

import msgspec

from ..core.dialects.base import Dialect, ReasoningForm
from ..core.records.pricing import Prices
from ..core.routing.call import Call
from ..core.routing.capabilities.declared import UNDECLARED, Capabilities
from ..core.routing.deployment import Deployment
from ..core.routing.refusals import RefusalTable
from ..core.routing.timeouts import Timeouts
from ..core.wire.overrides import NO_OVERRIDES, Overrides
from .settings import Provider


class RouteTerms(msgspec.Struct, frozen=True):
    """What a route adds to its provider.

    `timeouts` are the route's, after those of the configuration and of the provider. `pattern`
    is the route's model as it is configured, if that ends in `*`. `api` is what it says instead
    of the provider's own.
    """

    model: str
    timeouts: Timeouts
    prices: Prices
    weight: float = 1.0
    pattern: str | None = None
    api: Literal["chat", "responses", "both"] | None = None
    reasoning: ReasoningForm | None = None
    max_output_tokens: int | None = None
    drops: bool = False
    capabilities: Capabilities = UNDECLARED
    caches_prompts: bool = False
    # The longest prompt and the longest answer of the model by the data; None: not known, or not
    # to be gone by.
    context: int | None = None
    longest_answer: int | None = None
    # Whether the prices are to be those of batches.
    batch: bool = False


class AccessToken(Protocol):
    """A token that expires and is fetched again ahead of that, by a task beside the requests."""

    async def get(self) -> bytes:
        """Return a token that is valid now. Raises CredentialUnavailable within seconds."""
        ...

    def refused(self, token: bytes) -> bool:
        """Take note that the provider did not take `token`; say whether there will be another."""
        ...


class Place(msgspec.Struct, frozen=True):
    """The address of a provider, and what a call to it says of the gateway.

    `base_url` is the provider's own, or that of the server that the gateway runs for it.
    `user_agent` is ours. `token` is there if the provider has `oauth`.
    `instance` is what the gateway knows its own calls by, should they come back.
    """

    base_url: str
    user_agent: bytes
    token: AccessToken | None = None
    instance: bytes = b""


# Runs a provider's server on loopback until it is cancelled; calls its argument with the base
# URL once the server listens.
Serve = Callable[[Callable[[str], None]], Awaitable[None]]


class ProviderKind:
    """One kind of provider. A module of `kinds/` has one object of it, called `KIND`.

    name      what a table's `kind` says
    settings  the Struct of such a table
    dialect   what its servers speak
    refusals  what it means when they say no
    passed_headers  those of a caller's that go on with a call that is passed on as it comes
    overrides which members of a body choose models, routes or destinations there
    """

    name: str
    settings: type[Provider] = Provider
    dialect: Dialect
    refusals: RefusalTable
    overrides: Overrides = NO_OVERRIDES
    passed_headers: frozenset[bytes] = frozenset()

    def __repr__(self) -> str:
        return f"<ProviderKind {self.name}>"

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with a table: the key, and a sentence that ends with a cure."""
        yield from ()

    def notes(self, provider: Provider) -> Iterator[tuple[str, str]]:
        """Yield what is valid and probably not meant: the key, and why."""
        yield from ()

    def address(self, provider: Provider) -> str | None:
        """Return the base URL of a provider's API; None if the gateway runs its server."""
        return provider.base_url

    def serve(self, provider: Provider) -> Serve | None:
        """Return what runs the provider's server, if the gateway has to do that itself."""
        return None

    def describe(
        self, name: str, provider: Provider, place: Place, terms: RouteTerms
    ) -> Deployment:
        """Describe calls to one model of the provider called `name`; all checks are past."""
        raise NotImplementedError

    def models_call(self, name: str, provider: Provider, place: Place) -> Call:
        """Describe the question which models the provider called `name` has."""
        raise NotImplementedError

    def probe_call(self, name: str, provider: Provider, place: Place) -> Call:
        """Describe the health check of the provider called `name`, which has a `probe`."""
        raise NotImplementedError
