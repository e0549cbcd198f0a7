"""What a request has cost so far, and where the price of it came from."""

from __future__ import annotations

from .pricing import Prices
from .record import CountedBy, Record
from .usage import Usage


class RunningCost:
    """Adds up what the attempts of one request cost; a race may have been lost before it was won.

    `known` is the sum of what is known, in nano-dollars. `total` is that of all, None if a part is
    not known: a sum that lacks one would look like the whole.
    """

    __slots__ = ("_complete", "_record", "known")

    def __init__(self, record: Record) -> None:
        self.known = 0
        self._complete = True
        self._record = record

    def __repr__(self) -> str:
        return f"<RunningCost {self.known}{'' if self._complete else ' and more'}>"

    @property
    def total(self) -> int | None:
        return self.known if self._complete else None

    def charge(self, nano_usd: int | None) -> None:
        """Add what an attempt cost, None if that is not known, and write the sum down."""
        if nano_usd is None:
            self._complete = False
        else:
            self.known += nano_usd
        self._record.cost_nano_usd = self.total


def note_price(record: Record, prices: Prices, usage: Usage, counted: CountedBy) -> None:
    """Write down by which prices `usage` was charged, and who counted it."""
    at = prices.at(usage.input_tokens) if prices.tiers else prices
    if at.source:
        record.price_source = at.source
    if record.counted_by != "estimated":
        # What was estimated of one attempt makes the whole an estimate.
        record.counted_by = counted


def note_usage(record: Record, usage: Usage) -> None:
    """Write down what a provider says was used."""
    record.reported_cost_nano_usd = usage.reported_cost
    if not usage.total:
        # No answer takes no tokens at all: this provider does not count them.
        return
    record.input_tokens = usage.input_tokens or None
    record.output_tokens = usage.output_tokens
    record.cached_tokens = usage.cached_tokens
    record.reasoning_tokens = usage.reasoning_tokens
    record.cache_write_tokens = usage.cache_write_tokens
    record.input_audio_tokens = usage.input_audio_tokens
    record.input_image_tokens = usage.input_image_tokens
    record.output_audio_tokens = usage.output_audio_tokens
    record.output_image_tokens = usage.output_image_tokens
    record.cache_write_1h_tokens = usage.cache_write_1h_tokens or None
