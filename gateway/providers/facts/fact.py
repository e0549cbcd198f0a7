"""What is known of one model of one provider."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from ...core.records.pricing import Prices, Rate
from ...core.routing.capabilities.declared import Capabilities

_SHORT: Final = {"input": "in", "output": "out"}
_THOUSAND: Final = 1000
# By what a mode is billed that has no prices by the token, and where the data have that. What an
# image costs stands as a price of the input for some, though it is one of what is made.
_UNITS: Final = {
    "audio_speech": ("character", "character_in"),
    "audio_transcription": ("second", "second_in"),
    "image_generation": ("image", "image_out", "image_in"),
    "image_edit": ("image", "image_out", "image_in"),
}


class PriceRow(msgspec.Struct, frozen=True, omit_defaults=True, rename=_SHORT):
    """USD per million tokens, as `core.records.pricing.Prices` has them."""

    input: Decimal | None = None
    output: Decimal | None = None
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    input_audio: Decimal | None = None
    output_audio: Decimal | None = None
    input_image: Decimal | None = None
    output_image: Decimal | None = None
    cached_input_audio: Decimal | None = None

    def prices(self, source: str) -> Prices:
        found = {name: getattr(self, name) for name in PriceRow.__struct_fields__}
        return Prices(**found, source=source)


class TierRow(PriceRow, frozen=True, omit_defaults=True, kw_only=True):
    """The prices of a request whose prompt is longer than `above` tokens."""

    above: int


class ModelFact(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`context` is the longest prompt, `output` the longest answer, in tokens.

    `can` and `cannot` are flags of `Capabilities`; what is in neither is not known. `batch` are the
    prices of batches. `units` are prices of what is not counted in tokens, in USD by the unit.
    `retires` is a date, YYYY-MM-DD, and `successor` what its vendor recommends then.
    """

    mode: str = "chat"
    price: PriceRow | None = None
    tiers: tuple[TierRow, ...] = ()
    batch: PriceRow | None = None
    units: dict[str, Decimal] = {}
    context: int | None = None
    output: int | None = None
    can: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()
    retires: str | None = None
    successor: str | None = None

    def prices(self, source: str) -> Prices | None:
        """Return its prices, those of long prompts in full; None if there are none."""
        if self.price is None and not self.units:
            return None
        base = (self.price or PriceRow()).prices(source)
        if self.units:
            base = msgspec.structs.replace(base, search=self._search(), units=self.by_unit)
        if not self.tiers:
            return base
        tiers = tuple(
            (each.above, each.prices(f"{source}, above {each.above} tokens")) for each in self.tiers
        )
        return msgspec.structs.replace(base, tiers=tiers)

    def batch_prices(self, source: str) -> Prices | None:
        """Return its prices in batches; None if there are none.

        The data have no price there of what is cached for an hour: it is as much less as that of
        five minutes (docs.anthropic.com, "Batch processing": discounts of both multiply).
        """
        if self.batch is None:
            return None
        found, usual = self.batch.prices(source), self.price
        if usual is None or not (usual.cache_write_1h and usual.cache_write):
            return found
        less = (self.batch.cache_write or 0) / usual.cache_write
        return msgspec.structs.replace(found, cache_write_1h=usual.cache_write_1h * less or None)

    def _search(self) -> Decimal | None:
        """Return the price of a thousand units of search, by which reranks are billed."""
        query = self.units.get("query") if self.mode == "rerank" else None
        return None if query is None else query * _THOUSAND

    @property
    def by_unit(self) -> tuple[tuple[str, Rate], ...]:
        """Return the price of what the model makes or takes, where it is not counted in tokens."""
        names = _UNITS.get(self.mode, ())
        found = next((rate for name in names[1:] if (rate := self.units.get(name))), None)
        return () if found is None else ((names[0], found),)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(**dict.fromkeys(self.cannot, False))
