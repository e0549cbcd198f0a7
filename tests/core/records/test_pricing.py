from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.records.pricing import FREE, Prices, Rate, cost, most_cost
from gateway.core.records.usage import Usage, summed


@pytest.mark.parametrize(
    ("usage", "prices", "nano_dollars"),
    [
        (Usage(), Prices(input=1, output=1), 0),
        # No price: the cost is not known, which is not nothing.
        (Usage(5, 7), Prices(), None),
        (Usage(5, 7), Prices(input=1), None),
        (Usage(5, 7), Prices(output=1), None),
        (Usage(5, 7), Prices(cached_input=1, input_audio=1), None),
        # What is free has a price, which is 0.
        (Usage(5, 7), Prices(input=0, output=0), 0),
        (Usage(), Prices(), 0),
        # The half that is known is all that was used.
        (Usage(1000, 0, 1000), Prices(cached_input=1), 1_000_000),
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
        # Web searches: USD a thousand, beside the tokens.
        (Usage(1000, 0, web_searches=3), Prices(1, web_search=10), 1_000_000 + 30_000_000),
        (Usage(1000, 0, web_searches=3), Prices(1), None),
        (Usage(1000, 0, web_searches=None), Prices(1, web_search=10), None),
        (Usage(1000, 0, web_searches=None), Prices(1, web_search=0), 1_000_000),
        (Usage(1000, 0), Prices(1), 1_000_000),
        # Reasoning tokens are part of the output.
        (Usage(0, 10, 0, 8), Prices(output=1), 10_000),
        (Usage(32, 103, 0, 94), Prices(1, 10), 1_062_000),
        (Usage(1000, 10, 900), Prices(1, 10, 0.1), 290_000),
        # Cache writes, audio and pictures: at their own prices, or at those of other tokens.
        (Usage(1000, 10, 100, cache_write_tokens=800), Prices(1, 10, 0.1, 1.25), 1_210_000),
        (Usage(1000, 10, 100, cache_write_tokens=800), Prices(1, 10, 0.1), 1_010_000),
        # Some of them for an hour.
        (
            Usage(1000, 10, 100, cache_write_tokens=800, cache_write_1h_tokens=300),
            Prices(1, 10, 0.1, 1.25, cache_write_1h=2),
            1_435_000,
        ),
        (
            Usage(1000, 10, 100, cache_write_tokens=800, cache_write_1h_tokens=300),
            Prices(1, 10, 0.1, 1.25),
            1_210_000,
        ),
        (
            Usage(1000, 0, cache_write_tokens=800, cache_write_1h_tokens=300),
            Prices(1, cache_write_1h=2),
            1_300_000,
        ),
        (
            Usage(1000, 0, cache_write_tokens=300, cache_write_1h_tokens=900),
            Prices(1, cache_write_1h=2),
            1_300_000,
        ),
        (Usage(100, 10, input_audio_tokens=60), Prices(1, 10, input_audio=100), 6_140_000),
        (Usage(100, 10, input_audio_tokens=60), Prices(1, 10), 200_000),
        (Usage(100, 10, input_image_tokens=60), Prices(1, 10, input_image=2), 260_000),
        (Usage(0, 10, output_audio_tokens=9), Prices(1, 10, output_audio=20), 190_000),
        (Usage(0, 10, output_image_tokens=9), Prices(1, 10, output_image=30), 280_000),
        # More of all kinds than there was.
        (Usage(10, 0, 8, cache_write_tokens=8), Prices(1, 1, 0.5, 2), 8_000),
        # Rounded to the nearest.
        (Usage(1, 0), Prices(input=0.0006), 1),
        (Usage(1, 0), Prices(input=0.0004), 0),
    ],
)
def test_cost(usage: Usage, prices: Prices, nano_dollars: int | None) -> None:
    found = cost(usage, prices)
    assert found == nano_dollars
    assert found is None or isinstance(found, int)


@pytest.mark.parametrize(
    ("prompt", "answer", "prices", "nano_dollars"),
    [
        (0, 0, Prices(2.5, 10), 0),
        (1000, 0, Prices(2.5, 10), 2_500_000),
        (1000, 1000, Prices(2.5, 10), 12_500_000),
        # What is not known is reserved nothing.
        (1000, 1000, Prices(), 0),
        (1000, 1000, Prices(output=10), 10_000_000),
        # The prompt may be one that is written to the cache, the answer one that is spoken.
        (1000, 0, Prices(1, 10, 0.1, 1.25), 1_250_000),
        (1000, 1000, Prices(1, 10, input_audio=40, output_audio=80), 120_000_000),
        (1000, 1000, Prices(1, 10, input_image=2, output_image=30), 32_000_000),
    ],
)
def test_most_cost(prompt: int, answer: int, prices: Prices, nano_dollars: int) -> None:
    found = most_cost(prompt, answer, prices)
    assert found == nano_dollars
    assert isinstance(found, int)


COUNT = st.integers(0, 1_000_000)
ANY_PRICE = st.none() | st.floats(0, 1000)


@given(
    st.builds(Usage, *([COUNT] * 9)),
    st.builds(Prices, st.floats(0, 1000), st.floats(0, 1000), *([ANY_PRICE] * 6)),
)
def test_nothing_costs_more_than_the_most(usage: Usage, prices: Prices) -> None:
    found = cost(usage, prices)
    assert found is not None
    assert 0 <= found <= most_cost(usage.input_tokens, usage.output_tokens, prices) + 1


TOKENS = st.integers(0, 10_000_000)
PRICE = st.floats(0, 1000)


@given(TOKENS, TOKENS, TOKENS, PRICE, PRICE, st.none() | PRICE)
def test_cost_lies_between_its_bounds(
    tokens: int, output: int, cached: int, price: float, output_price: float, cheap: float | None
) -> None:
    found = cost(Usage(tokens, output, cached), Prices(price, output_price, cheap))
    prices = (price, price if cheap is None else cheap)
    assert found is not None
    assert found >= int((tokens * min(prices) + output * output_price) * 999.999)
    assert found <= round((tokens * max(prices) + output * output_price) * 1000.001) + 1


@pytest.mark.parametrize(
    ("tokens", "rate", "nano_dollars"),
    [
        # Decimal digits, not binary fractions: 0.1 + 0.2 is 0.3.
        (3, 0.1, 300),
        (1, 0.0375, 38),  # 37.5: a half goes to the even one
        (1, 0.0385, 38),
        (7, 0.07, 490),
        (10**9, 0.000000001, 1_000),
        # Of prices of more than nine decimals nothing is rounded off before the end.
        (4_191_667, 5.960464477539063e-08, 250),
        (10**12, 1.4e-10, 140_000),
        (3 * 10**9, Decimal("0.0000000000123456789"), 37),
        (1_000_003, Decimal("2.96"), 2_960_008_880),
        (10**12, Decimal("0.15"), 150_000_000_000_000),
        (333_333_333, 2.7, 899_999_999_100),
    ],
)
def test_money_is_exact(tokens: int, rate: Rate, nano_dollars: int) -> None:
    assert cost(Usage(tokens, 0), Prices(input=rate)) == nano_dollars


TIERED = Prices(
    input=Decimal("1.25"),
    output=Decimal(10),
    cached_input=Decimal("0.125"),
    tiers=((200_000, Prices(input=Decimal("2.5"), output=Decimal(15), source="x, above")),),
    source="x",
)


def test_a_long_prompt_has_its_price_for_all_tokens() -> None:
    """ai.google.dev/gemini-api/docs/pricing: prompts up to 200,000 tokens, and above."""
    assert cost(Usage(200_000, 10), TIERED) == 250_000_000 + 100_000
    assert cost(Usage(200_001, 10), TIERED) == 500_002_500 + 150_000
    # What came from the cache is part of the prompt (Anthropic counts it so, too).
    assert cost(Usage(200_000, 0, 200_000), TIERED) == 25_000_000
    assert cost(Usage(200_001, 0, 200_001), TIERED) == 500_002_500
    assert most_cost(200_001, 10, TIERED) == 500_002_500 + 150_000
    several = Prices(input=1, output=1, tiers=((10, Prices(2, 2)), (20, Prices(3, 3))))
    found = [cost(Usage(prompt, 1), several) for prompt in (10, 11, 20, 21)]
    assert found == [11_000, 24_000, 42_000, 66_000]


def test_a_price_of_the_route_goes_before_the_whole_of_its_side() -> None:
    known = msgspec.structs.replace(TIERED, input_audio=Decimal(3))
    route = Prices(input=1, source="route").over(known)
    assert (route.input, route.cached_input, route.input_audio) == (1, None, None)
    assert (route.output, route.source) == (Decimal(10), "route over x")
    assert cost(Usage(300_000, 10), route) == 300_000_000 + 150_000
    assert route.at(300_000).source == "route over x, above 200000 tokens"
    # One of a special kind goes before that alone.
    special = Prices(cached_input=0, source="route").over(known)
    assert (special.input, special.cached_input) == (Decimal("1.25"), 0)
    assert special.at(300_000).cached_input == 0
    both = Prices(input=1, output=2, source="route")
    assert both.over(known) == both
    assert both.over(None) is both
    assert Prices().over(known).source == "x"
    free = Prices(input=0, output=0, source="route")
    assert free.over(known).free


def test_cached_sound_has_a_price_of_its_own_or_none() -> None:
    usage = Usage(100, 0, cached_tokens=60, input_audio_tokens=50, cached_audio_tokens=40)
    prices = Prices(input=4, output=0, cached_input=1, input_audio=32)
    assert cost(usage, prices) is None
    known = msgspec.structs.replace(prices, cached_input_audio=2)
    # 30 of text and 20 of it cached, 10 of sound and 40 of it cached.
    assert cost(usage, known) == (30 * 4 + 20 * 1 + 10 * 32 + 40 * 2) * 1000
    assert cost(usage, FREE) == 0


def test_each_part_of_a_sum_is_priced_by_itself() -> None:
    tiered = Prices(input=1, output=1, tiers=((100, Prices(input=2, output=2)),))
    turn = Usage(80, 10)
    total = summed([turn, turn], partial=False)
    assert total is not None
    assert (total.input_tokens, cost(total, tiered)) == (160, 2 * 90_000)
    searched = turn.with_searches(1)
    mixed = summed([turn, searched], partial=True)
    assert mixed is not None
    assert mixed.partial
    assert cost(mixed, tiered) is None
