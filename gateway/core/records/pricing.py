"""What an answer cost, in integer nano-dollars.

Prices are given as the field gives them, in USD per million tokens: a token at 1 USD per
million costs 1,000 nano-dollars. Integers add up without drift over millions of requests.

A price that is not known is None, and so is every cost that depends on it. Zero is the price of
what is free.
"""

from __future__ import annotations

import msgspec

from .usage import Usage

NANO_PER_TOKEN = 1_000  # of a token priced at 1 USD per million


class Prices(msgspec.Struct, frozen=True):
    """USD per million tokens.

    `input` and `output` None are unknown. Tokens of a special kind whose own price is None cost
    what other tokens of the input or of the output cost.
    """

    input: float | None = None
    output: float | None = None
    cached_input: float | None = None
    cache_write: float | None = None
    input_audio: float | None = None
    output_audio: float | None = None
    input_image: float | None = None
    output_image: float | None = None
    # Of what is kept for an hour; None: as `cache_write`.
    cache_write_1h: float | None = None

    @property
    def free(self) -> bool:
        """Say whether all tokens cost nothing, so that an answer does however many it took."""
        return self.input == 0 and self.output == 0 and not any(msgspec.structs.astuple(self))

    @property
    def together(self) -> float | None:
        """Return the price of a token of input and one of output, as far as it is known.

        None: neither is.
        """
        if self.input is None and self.output is None:
            return None
        return (self.input or 0.0) + (self.output or 0.0)


FREE = Prices(input=0.0, output=0.0)


def cost(usage: Usage, prices: Prices) -> int | None:
    """Return the cost of `usage` in nano-dollars, rounded to the nearest; None if unknown.

    `input_tokens` includes the cached ones (OpenAI's convention), which are charged apart:
    adding both is the double count that LiteLLM shipped (its pull request 25517).
    """
    hour = 0
    if prices.cache_write_1h is not None:
        hour = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
    taken = _side(
        usage.input_tokens,
        prices.input,
        (usage.cached_tokens, prices.cached_input),
        (hour, prices.cache_write_1h),
        (usage.cache_write_tokens - hour, prices.cache_write),
        (usage.input_audio_tokens, prices.input_audio),
        (usage.input_image_tokens, prices.input_image),
    )
    given = _side(
        usage.output_tokens,
        prices.output,
        (usage.output_audio_tokens, prices.output_audio),
        (usage.output_image_tokens, prices.output_image),
    )
    if taken is None or given is None:
        return None
    return round((taken + given) * NANO_PER_TOKEN)


def _side(tokens: int, price: float | None, *special: tuple[int, float | None]) -> float | None:
    """Return what the tokens of one side cost, of which `special` ones have their own price."""
    found = 0.0
    for count, own in special:
        if count and own is not None:
            # More than there are in all would be a provider's fault, not a negative cost.
            part = min(count, tokens)
            tokens -= part
            found += part * own
    if not tokens:
        return found
    return None if price is None else found + tokens * price


def most_cost(prompt: int, answer: int, prices: Prices) -> int:
    """Return the most that so many tokens can cost in nano-dollars; unknown prices count as 0."""
    dearest_input = _dearest(
        *(prices.input, prices.cached_input, prices.cache_write, prices.cache_write_1h),
        *(prices.input_audio, prices.input_image),
    )
    dearest_output = _dearest(prices.output, prices.output_audio, prices.output_image)
    return round((prompt * dearest_input + answer * dearest_output) * NANO_PER_TOKEN)


def _dearest(*prices: float | None) -> float:
    return max((price for price in prices if price is not None), default=0.0)
