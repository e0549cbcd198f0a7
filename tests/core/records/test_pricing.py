from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.records.pricing import Prices, cost, input_cost
from gateway.core.records.usage import Usage


@pytest.mark.parametrize(
    ("usage", "prices", "nano_dollars"),
    [
        (Usage(), Prices(input=1, output=1), 0),
        (Usage(5, 7), Prices(), 0),
        (Usage(1, 0), Prices(input=1), 1_000),
        (Usage(0, 1), Prices(output=1), 1_000),
        (Usage(1_000_000, 1_000_000), Prices(input=2.5, output=10), 12_500_000_000),
        # gpt-4o-mini: 0.15 and 0.60 USD a million, cached 0.075.
        (Usage(1000, 500), Prices(input=0.15, output=0.60), 450_000),
        (Usage(1000, 500, 400), Prices(0.15, 0.60, 0.075), 90_000 + 30_000 + 300_000),
        # No price of their own: cached tokens cost what others do, and are not charged twice.
        (Usage(1000, 0, 400), Prices(input=1), 1_000_000),
        # Free is not the same as no price.
        (Usage(1000, 0, 400), Prices(input=1, cached_input=0), 600_000),
        # More cached than there was: a provider's fault, not a negative cost.
        (Usage(10, 0, 50), Prices(input=1, cached_input=0.5), 5_000),
        # Reasoning tokens are part of the output.
        (Usage(0, 10, 0, 8), Prices(output=1), 10_000),
        # Rounded to the nearest.
        (Usage(1, 0), Prices(input=0.0006), 1),
        (Usage(1, 0), Prices(input=0.0004), 0),
    ],
)
def test_cost(usage: Usage, prices: Prices, nano_dollars: int) -> None:
    found = cost(usage, prices)
    assert found == nano_dollars
    assert isinstance(found, int)


@pytest.mark.parametrize(
    ("tokens", "prices", "nano_dollars"),
    [
        (0, Prices(input=2.5), 0),
        (1000, Prices(), 0),
        (1000, Prices(output=10), 0),
        (1000, Prices(input=2.5, output=10), 2_500_000),
        # An estimate knows nothing of the provider's cache.
        (1000, Prices(input=1, cached_input=0), 1_000_000),
        (1, Prices(input=0.0006), 1),
        (1, Prices(input=0.0004), 0),
    ],
)
def test_input_cost(tokens: int, prices: Prices, nano_dollars: int) -> None:
    found = input_cost(tokens, prices)
    assert found == nano_dollars
    assert isinstance(found, int)
    assert found == cost(Usage(tokens, 0), prices)


TOKENS = st.integers(0, 10_000_000)
PRICE = st.floats(0, 1000)


@given(TOKENS, TOKENS, TOKENS, PRICE, PRICE, st.none() | PRICE)
def test_cost_lies_between_its_bounds(
    tokens: int, output: int, cached: int, price: float, output_price: float, cheap: float | None
) -> None:
    found = cost(Usage(tokens, output, cached), Prices(price, output_price, cheap))
    prices = (price, price if cheap is None else cheap)
    assert found >= int((tokens * min(prices) + output * output_price) * 999.999)
    assert found <= round((tokens * max(prices) + output * output_price) * 1000.001) + 1
