"""Token counts, whichever dialect they are reported in."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

# What something is billed by that is not counted in tokens, and how many of it there were.
Unit = tuple[str, Decimal]


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer, and what the provider says it cost.

    `cached_tokens` (read from the provider's cache), `cache_write_tokens`, `input_audio_tokens`
    and `input_image_tokens` are part of `input_tokens`, `cache_write_1h_tokens` (to be kept for an
    hour) of `cache_write_tokens`; `reasoning_tokens`, `output_audio_tokens`
    and `output_image_tokens` are part of `output_tokens`, as OpenAI counts. `reported_cost` is in
    nano-dollars. `search_units` are what a rerank is billed by, beside no tokens.
    `web_searches` are those that the provider made itself; None: it does not say how
    many, and there were some. `cached_audio_tokens` are part of both `cached_tokens` and
    `input_audio_tokens`. `parts` are the answers that it is the sum of, each priced by itself;
    `partial` says that more was used than is counted. `units` are for what is priced by the
    image, the second or the character.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    input_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_audio_tokens: int = 0
    output_image_tokens: int = 0
    reported_cost: int | None = None
    cache_write_1h_tokens: int = 0
    search_units: int = 0
    web_searches: int | None = 0
    cached_audio_tokens: int = 0
    parts: tuple[Usage, ...] = ()
    partial: bool = False
    units: tuple[Unit, ...] = ()

    @property
    def total(self) -> int:
        """Return all tokens. Zero is no report: a prompt has one token at the least."""
        return self.input_tokens + self.output_tokens

    @property
    def counts(self) -> bool:
        """Say whether anything was counted that has a price."""
        return bool(self.input_tokens or self.output_tokens or self.search_units or self.units)

    @property
    def counts_input(self) -> bool:
        """Say whether what was put in was counted."""
        return bool(self.input_tokens or self.search_units or self.units)

    def with_searches(self, count: int | None) -> Usage:
        """Return the usage of an answer for which the web was searched so often."""
        return self if count == 0 else msgspec.structs.replace(self, web_searches=count)

    def with_prompt(self, tokens: int) -> Usage:
        """Return the usage of an answer to a prompt of about `tokens`, if it does not say."""
        if self.counts_input or not tokens:
            return self
        return msgspec.structs.replace(self, input_tokens=tokens)

    def with_text(self, tokens: int, *, whole: bool) -> Usage:
        """Return the usage of an answer of which about `tokens` of text came out.

        The counts of an answer that came `whole` are final, but for an output of nothing beside
        text. One that was left may have reported less than was made: its prompt alone, or a
        running total of some events ago.
        """
        if tokens <= self.output_tokens or (whole and self.output_tokens):
            return self
        return msgspec.structs.replace(self, output_tokens=tokens)


_SUMMED: Final = tuple(
    name for name in Usage.__struct_fields__ if name.endswith(("_tokens", "search_units"))
)


def added(one: Usage, other: Usage) -> Usage:
    """Return what two answers took together that have the same prices, whatever their length."""
    total = {name: getattr(one, name) + getattr(other, name) for name in _SUMMED}
    searches = None
    if one.web_searches is not None and other.web_searches is not None:
        searches = one.web_searches + other.web_searches
    return Usage(**total, web_searches=searches)


def summed(answers: Sequence[Usage], *, partial: bool) -> Usage | None:
    """Return what all of `answers` took together; None if there are none.

    Each is priced by itself. `partial` says that there was more.
    """
    if not answers:
        return None
    costs = [each.reported_cost for each in answers if each.reported_cost is not None]
    total = {name: sum(getattr(each, name) for each in answers) for name in _SUMMED}
    return Usage(
        **total,
        reported_cost=sum(costs) if len(costs) == len(answers) else None,
        parts=tuple(answers),
        partial=partial,
    )


def of_parts(answers: Sequence[Usage | None]) -> Usage | None:
    """Return what the calls of one answer took together; None if any of them does not say it.

    They are one answer's, priced together. What is told of some would be less than was used.
    """
    known = [each for each in answers if each is not None]
    if len(known) < len(answers) or not known:
        return None
    if len(known) == 1:
        return known[0]
    total = {name: sum(getattr(each, name) for each in known) for name in _SUMMED}
    return Usage(**total, partial=any(each.partial for each in known))
