"""What an answer cost, in integer nano-dollars.

Prices are given as the field gives them, in USD per million tokens: a token at 1 USD per
million costs 1,000 nano-dollars. Integers add up without drift over millions of requests.
"""

from __future__ import annotations

import msgspec

from .usage import Usage

NANO_PER_TOKEN = 1_000  # of a token priced at 1 USD per million


class Prices(msgspec.Struct, frozen=True):
    """USD per million tokens. `cached_input` None: cached tokens cost what others do."""

    input: float = 0.0
    output: float = 0.0
    cached_input: float | None = None


def cost(usage: Usage, prices: Prices) -> int:
    """Return the cost of `usage` in nano-dollars, rounded to the nearest.

    `input_tokens` includes the cached ones (OpenAI's convention), which are charged apart:
    adding both is the double count that LiteLLM shipped (its pull request 25517).
    """
    cached_price = prices.input if prices.cached_input is None else prices.cached_input
    cached = min(usage.cached_tokens, usage.input_tokens)
    dollars_per_million = (
        (usage.input_tokens - cached) * prices.input
        + cached * cached_price
        + usage.output_tokens * prices.output
    )
    return round(dollars_per_million * NANO_PER_TOKEN)


def input_cost(tokens: int, prices: Prices) -> int:
    """Return what a prompt of `tokens` costs in nano-dollars, before any answer."""
    return round(tokens * prices.input * NANO_PER_TOKEN)
