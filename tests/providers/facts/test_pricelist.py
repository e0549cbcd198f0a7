from __future__ import annotations

from gateway.core.records.pricing import Prices
from gateway.providers.facts.current import bundled_book
from gateway.providers.facts.policy import CatalogPolicy
from gateway.providers.facts.pricelist import PriceList

from ..tables import provider_of

OPENAI = provider_of("openai", {"api_key": "sk-12345678"}, {})
ROUTES = (
    ("openai", "gpt-*", Prices(input=9, source="route")),
    ("openai", "gpt-4o", Prices(1, 2, source="route")),
    ("other", "*", Prices(3, 4, source="route")),
)


def test_routes_go_before_the_data() -> None:
    prices = PriceList(ROUTES, {"openai": OPENAI}, bundled_book(), CatalogPolicy())
    assert prices.of("openai", "gpt-4o") == Prices(1, 2, source="route")
    mini = prices.of("openai", "gpt-4o-mini")
    assert mini is not None
    assert (mini.input, str(mini.output)) == (9, "0.6")
    assert prices.of("other", "anything") == Prices(3, 4, source="route")
    assert prices.of("nobody", "gpt-4o") is None
    # Of a model that no route has any more the data still know the price.
    assert prices.of("openai", "o3") is not None
    off = PriceList(ROUTES, {"openai": OPENAI}, bundled_book(), CatalogPolicy(prices=False))
    assert off.of("openai", "o3") is None


def test_what_names_no_model_keeps_what_it_has_cost() -> None:
    # A batch was charged by the prices of its models in batches, which a `*` says nothing of.
    prices = PriceList(ROUTES, {"openai": OPENAI}, bundled_book(), CatalogPolicy())
    assert prices.of("other", "(none)") is None
