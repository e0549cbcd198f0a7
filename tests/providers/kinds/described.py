"""Deployments as their kinds describe them, for tests that need some."""

from __future__ import annotations

from typing import Final

from gateway.core.records.pricing import Prices
from gateway.core.routing.deployment import Deployment
from gateway.core.routing.timeouts import Timeouts
from gateway.providers.kind import Place, RouteTerms
from gateway.providers.registry import KINDS
from gateway.providers.settings import Provider

TERMS: Final = RouteTerms(model="m", timeouts=Timeouts(), prices=Prices())


def place_of(provider: Provider, user_agent: bytes = b"test") -> Place:
    """Return where a provider with a base URL is."""
    address = KINDS[provider.kind].address(provider)
    assert address is not None
    return Place(address, user_agent)


def describe(name: str, provider: Provider, terms: RouteTerms) -> Deployment:
    return KINDS[provider.kind].describe(name, provider, place_of(provider), terms)
