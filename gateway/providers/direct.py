"""Providers as callers may reach them past all models: for what the gateway does not read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from ..core.records.pricing import Prices
from ..core.routing.deployment import Deployment
from ..core.routing.target import Target
from ..core.routing.timeouts import Timeouts
from .kind import RouteTerms
from .registry import KINDS
from .settings import Provider

# What stands for the model where there is none: no model is called so, nor can one be asked for.
NO_MODEL: Final = "(none)"


class DirectProvider(msgspec.Struct, frozen=True):
    """A provider, and what is known of its health for such calls alone.

    `headers` are those of a caller's that its API has beside HTTP's own.
    """

    deployment: Deployment
    target: Target
    headers: frozenset[bytes]


class DirectProviders:
    """They are made when they are first asked for: most are asked by their models only."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        timeouts: Timeouts,
        describe: Callable[[str, Provider, RouteTerms], Deployment],
        target: Callable[[Deployment], Target],
    ) -> None:
        self._providers = providers
        self._timeouts = timeouts
        self._describe = describe
        self._target = target
        self._made: dict[str, DirectProvider] = {}

    def __repr__(self) -> str:
        return f"<DirectProviders {[*self._providers]}>"

    @property
    def names(self) -> list[str]:
        return [*self._providers]

    @property
    def made(self) -> list[DirectProvider]:
        """Return those that were asked for."""
        return [*self._made.values()]

    def get(self, name: str) -> DirectProvider | None:
        """Return the provider of that name; None if there is none."""
        found = self._made.get(name)
        if found is None and (provider := self._providers.get(name)) is not None:
            timeouts = self._timeouts.override(provider.timeouts)
            terms = RouteTerms(model=NO_MODEL, timeouts=timeouts, prices=Prices())
            deployment = self._describe(name, provider, terms)
            headers = KINDS[provider.kind].passed_headers
            found = DirectProvider(deployment, self._target(deployment), headers)
            self._made[name] = found
        return found

    def batch_prices(self, name: str, model: str) -> Prices:
        """Return the prices of a provider's model in batches, as far as they are known."""
        provider = self._providers.get(name)
        if provider is None:
            return Prices()
        terms = RouteTerms(model=model, timeouts=self._timeouts, prices=Prices(), batch=True)
        return self._describe(name, provider, terms).prices


def _no_deployment(*_: object) -> Deployment:
    raise LookupError("there are no providers")


def _no_target(_: Deployment) -> Target:
    raise LookupError("there are no providers")


NO_PROVIDERS: Final = DirectProviders({}, Timeouts(), _no_deployment, _no_target)
