"""Cohere's counts.

    billed_units   what is charged: the tokens of the prompt as the caller wrote it, and of the
                   answer (docs.cohere.com/docs/rate-limits, "Billed units"), and units of search
    tokens         what the model has seen and made, with what Cohere puts around every prompt
    cached_tokens  of the latter's input, what came from a cache

Costs go by what is charged, so a `Usage` has the billed units, and the tokens only where there are
none of those. What Cohere puts around a prompt stands in front, and is the first to be cached: only
a cache that reaches beyond it has tokens that are billed. There is no price for those.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...records.usage import Usage

# More than any answer has: a count beyond it is a fault, and would use up every budget.
_MOST: Final = 2**31


class _Counts(msgspec.Struct):
    input_tokens: float | None = None
    output_tokens: float | None = None
    search_units: float | None = None
    image_tokens: float | None = None


class _Usage(msgspec.Struct):
    """`usage` of a chat; `meta` of everything else has the same members."""

    billed_units: _Counts | None = None
    tokens: _Counts | None = None
    cached_tokens: float | None = None


_DECODE: Final = msgspec.json.Decoder(_Usage).decode
_NO_COUNTS: Final = _Counts()


def read_usage(raw: bytes | msgspec.Raw) -> Usage | None:
    """Read the counts of one answer; None if there are none."""
    try:
        found = _DECODE(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    billed, tokens = found.billed_units or _NO_COUNTS, found.tokens or _NO_COUNTS
    images = _count(billed.image_tokens)
    taken = _count(billed.input_tokens) + images or _count(tokens.input_tokens)
    given = _count(billed.output_tokens) or _count(tokens.output_tokens)
    searches = _count(billed.search_units)
    if not (taken or given or searches):
        return None
    around = max(0, _count(tokens.input_tokens) - taken)
    cached = max(0, _count(found.cached_tokens) - around)
    return Usage(
        input_tokens=taken,
        output_tokens=given,
        cached_tokens=min(cached, taken),
        input_image_tokens=images,
        search_units=searches,
    )


def written_usage(usage: Usage) -> dict[str, Any]:
    """Return the counts in Cohere's form: of another provider's tokens all are billed."""
    counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    return {"billed_units": counts, "tokens": counts, "cached_tokens": usage.cached_tokens}


def _count(value: float | None) -> int:
    return int(value) if value is not None and 0 < value < _MOST else 0
