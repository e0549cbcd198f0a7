"""The prices of what has been asked before, by the configuration and the data of now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...core.records.pricing import Prices
from ..direct import NO_MODEL
from ..settings import Provider
from .book import ModelBook
from .policy import CatalogPolicy


class PriceList:
    """`routes` are the provider, the model (a `*` at its end stands for the rest) and the prices.

    Of several routes to one model, as of one that has other prices than before, the first counts.
    """

    def __init__(
        self,
        routes: Iterable[tuple[str, str, Prices]],
        providers: Mapping[str, Provider],
        book: ModelBook,
        policy: CatalogPolicy,
    ) -> None:
        self._routes = [*routes]
        self._providers = providers
        self._book = book
        self._policy = policy
        self._known: dict[tuple[str, str], Prices | None] = {}

    def __repr__(self) -> str:
        return f"<PriceList of {len(self._routes)} routes, {self._book}>"

    def of(self, provider: str, model: str) -> Prices | None:
        """Return the prices of a provider's model; None if none are known."""
        if model == NO_MODEL:
            # Of a batch, say, whose models and prices are not on record.
            return None
        key = provider, model
        if key not in self._known:
            self._known[key] = self._find(provider, model)
        return self._known[key]

    def _find(self, provider: str, model: str) -> Prices | None:
        own = [
            (pattern, prices)
            for name, pattern, prices in self._routes
            if name == provider and _matches(pattern, model)
        ]
        exact = next((prices for pattern, prices in own if pattern == model), None)
        prices = exact or next((prices for _, prices in own), Prices())
        known = self._providers.get(provider)
        if self._policy.prices and known is not None:
            prices = prices.over(self._book.prices(known, model))
        return prices if prices.known else None


def _matches(pattern: str, model: str) -> bool:
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == model
