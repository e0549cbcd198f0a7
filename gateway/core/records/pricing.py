"""What an answer cost, in integer nano-dollars.

Prices are given as the field gives them, in USD per million tokens, and taken by their decimal
digits: 0.15 is 0.15, not the nearest binary fraction. A price of 1 USD per million is 1,000,000,000
nano-dollars for a million tokens, and integers of parts of these hold any price there may be, so
what tokens cost is added up in integers and rounded once.

A price that is not known is None, and so is every cost that depends on it. Zero is the price of
what is free.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from typing import Final

import msgspec

from .usage import Usage

_NANO: Final = 10**9
# Of a nano-dollar of a million tokens. A float has 17 digits, so what is left out of a price above
# 10^-10 is nothing.
_PARTS: Final = 10**18
_PARTS_OF_TOKEN: Final = _PARTS * 10**6
# Nano-dollars of one of a million units that are priced by the thousand.
_PER_UNIT: Final = 1_000
# USD per million tokens, or per thousand searches.
Rate = int | float | Decimal
_INPUT: Final = (
    *("input", "cached_input", "cache_write", "cache_write_1h", "input_audio", "input_image"),
    "cached_input_audio",
)
_OUTPUT: Final = ("output", "output_audio", "output_image")
# Each by itself.
_SEARCHES: Final = ("search", "web_search")


class Prices(msgspec.Struct, frozen=True):
    """USD per million tokens, and per thousand web searches.

    `input` and `output` None are unknown. Tokens of a special kind whose own price is None cost
    what other tokens of the input or of the output cost. `tiers` are the prices of all tokens of a
    request whose prompt is longer than so many, the shortest first. `source` says where they are
    from, for the record.
    """

    input: Rate | None = None
    output: Rate | None = None
    cached_input: Rate | None = None
    cache_write: Rate | None = None
    input_audio: Rate | None = None
    output_audio: Rate | None = None
    input_image: Rate | None = None
    output_image: Rate | None = None
    # Of what is kept for an hour; None: as `cache_write`.
    cache_write_1h: Rate | None = None
    # USD per thousand units of search, which reranks are billed by.
    search: Rate | None = None
    # None: not known, so that an answer with a search costs nobody knows what.
    web_search: Rate | None = None
    # Of sound in the prompt that the provider's cache had; None: not known.
    cached_input_audio: Rate | None = None
    # USD by what is not counted in tokens: by the character, the second, the image.
    units: tuple[tuple[str, Rate], ...] = ()
    tiers: tuple[tuple[int, Prices], ...] = ()
    source: str = ""
    # Of a usage that is a sum: those of each of its parts; (): all have these.
    parts: tuple[Prices, ...] = ()

    @property
    def free(self) -> bool:
        """Say whether all tokens cost nothing, so that an answer does however many it took."""
        rates = (getattr(self, name) for name in (*_INPUT, *_OUTPUT))
        return self.input == 0 and self.output == 0 and not any(rates) and not self.tiers

    @property
    def known(self) -> bool:
        """Say whether any price is."""
        named = (*_INPUT, *_OUTPUT, *_SEARCHES)
        return bool(self.units) or any(getattr(self, name) is not None for name in named)

    @property
    def together(self) -> float | None:
        """Return the price of a token of input and one of output, as far as it is known.

        None: neither is. Only to compare by.
        """
        if self.input is None and self.output is None:
            return None
        return float(self.input or 0) + float(self.output or 0)

    def at(self, prompt: int) -> Prices:
        """Return the prices of a request with a prompt of so many tokens."""
        found = self
        for above, prices in self.tiers:
            if prompt > above:
                found = prices
        return found

    def over(self, known: Prices | None) -> Prices:
        """Return these, and those `known` where these say nothing.

        A side, input or output, whose own price is here is all from here: a discount on it must
        not be mixed with list prices of its cache.
        """
        if known is None or not known.known:
            return self
        ours = [
            names
            for names in (_INPUT, _OUTPUT)
            if getattr(self, names[0]) is not None  # the side's own price
        ]
        if len(ours) == len((_INPUT, _OUTPUT)):
            # All but the searches that it says nothing of.
            rest = {name: getattr(known, name) for name in _SEARCHES if getattr(self, name) is None}
            rest["units"] = self.units or known.units
            return msgspec.structs.replace(self, **rest)
        kept = {name: None for side in ours for name in side}
        names = (*_INPUT, *_OUTPUT, *_SEARCHES)
        own = {name: rate for name in names if (rate := getattr(self, name)) is not None}
        fields = {**kept, **own}
        source = f"{self.source} over {known.source}" if own else known.source
        replace = msgspec.structs.replace
        tiers = tuple(
            (above, replace(each, **fields, source=_of_tier(source, above)))
            for above, each in known.tiers
        )
        return replace(known, **fields, tiers=tiers, source=source)


FREE: Final = Prices(input=0, output=0, web_search=0)


def _of_tier(source: str, above: int) -> str:
    return f"{source}, above {above} tokens"


@lru_cache(maxsize=4096)
def parts_of(rate: Rate) -> int:
    """Return parts of the nano-dollars of a million tokens: exact for prices of 27 decimals."""
    return round(Decimal(str(rate)) * _NANO * _PARTS)


def cost(usage: Usage, prices: Prices) -> int | None:
    """Return the cost of `usage` in nano-dollars, rounded to the nearest; None if unknown.

    `input_tokens` includes the cached ones (OpenAI's convention), which are charged apart:
    adding both is the double count that LiteLLM shipped (its pull request 25517).
    """
    if usage.units:
        return 0 if prices.free else _by_unit(usage, prices)
    if usage.parts:
        rates = prices.parts or repeat(prices)
        costs = [cost(*each) for each in zip(usage.parts, rates, strict=False)]
        return None if None in costs else sum(each or 0 for each in costs)
    if prices.tiers:
        prices = prices.at(usage.input_tokens)
    sound = usage.cached_audio_tokens
    if sound and prices.cached_input_audio is None and not prices.free:
        return None
    hour = 0
    if prices.cache_write_1h is not None:
        hour = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
    taken = _side(
        usage.input_tokens,
        prices.input,
        (sound, prices.cached_input_audio),
        (usage.cached_tokens - sound, prices.cached_input),
        (hour, prices.cache_write_1h),
        (usage.cache_write_tokens - hour, prices.cache_write),
        (usage.input_audio_tokens - sound, prices.input_audio),
        (usage.input_image_tokens, prices.input_image),
    )
    given = _side(
        usage.output_tokens,
        prices.output,
        (usage.output_audio_tokens, prices.output_audio),
        (usage.output_image_tokens, prices.output_image),
    )
    searched = _searches(usage.web_searches, prices.web_search)
    if taken is None or given is None or searched is None:
        return None
    if usage.search_units and prices.search is None:
        return None
    if usage.search_units:
        searched += usage.search_units * parts_of(prices.search or 0) * _PER_UNIT
    return _rounded(taken + given + searched)


def _by_unit(usage: Usage, prices: Prices) -> int | None:
    rates = dict(prices.units)
    if any(name not in rates for name, _ in usage.units):
        return None
    return round(
        sum((count * Decimal(str(rates[name])) for name, count in usage.units), Decimal()) * _NANO
    )


def _searches(count: int | None, price: Rate | None) -> int | None:
    """Return what the searches of an answer cost, which providers charge beside its tokens."""
    if count == 0 or price == 0:
        return 0
    return None if count is None or price is None else count * parts_of(price) * _PER_UNIT


def _side(tokens: int, price: Rate | None, *special: tuple[int, Rate | None]) -> int | None:
    """Return what the tokens of one side cost, of which `special` ones have their own price."""
    found = 0
    for count, own in special:
        if count and own is not None:
            # More than there are in all would be a provider's fault, not a negative cost.
            part = min(count, tokens)
            tokens -= part
            found += part * parts_of(own)
    if not tokens:
        return found
    return None if price is None else found + tokens * parts_of(price)


def _rounded(parts: int) -> int:
    """Return nano-dollars; a half goes to the even one."""
    whole, rest = divmod(parts, _PARTS_OF_TOKEN)
    return whole + (rest * 2 > _PARTS_OF_TOKEN or (rest * 2 == _PARTS_OF_TOKEN and whole % 2 == 1))


def most_cost(prompt: int, answer: int, prices: Prices) -> int:
    """Return the most that so many tokens can cost in nano-dollars; unknown prices count as 0."""
    if prices.tiers:
        prices = prices.at(prompt)
    # Written out: it is asked for each request of a caller with a budget.
    dearest_input = _dearest(
        *(prices.input, prices.cached_input, prices.cache_write, prices.cache_write_1h),
        *(prices.input_audio, prices.input_image),
    )
    dearest_output = _dearest(prices.output, prices.output_audio, prices.output_image)
    return _rounded(prompt * dearest_input + answer * dearest_output)


def _dearest(*prices: Rate | None) -> int:
    return max((parts_of(price) for price in prices if price is not None), default=0)
