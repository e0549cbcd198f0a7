"""Counts of durations by bucket, and the quantiles that can be told from them.

Buckets are the same everywhere and for ever: a roll-up of last year and one of this minute are
added up column by column.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

# Upper bounds in microseconds, inclusive; one more bucket takes what is longer. Providers answer
# between a tenth of a second and minutes; the gateway's own refusals within milliseconds.
BOUNDS: Final = tuple(
    round(ms * 1000)
    for ms in (
        *(5, 10, 25, 50, 100, 200, 350, 500, 750, 1000, 1500, 2500, 5000, 10_000, 20_000),
        *(40_000, 60_000, 120_000, 300_000),
    )
)
BUCKETS: Final = len(BOUNDS) + 1


def bucket_of(microseconds: float) -> int:
    """Return the number of the bucket that a duration falls into."""
    return bisect_left(BOUNDS, microseconds)


def quantile(counts: Sequence[int], q: float) -> float | None:
    """Return about how many microseconds the fraction `q` of all stayed within; None of none.

    Interpolated within the bucket; of the last, which has no upper bound, its lower bound is
    returned.
    """
    total = sum(counts)
    if not total:
        return None
    rank = q * total
    seen = 0
    for number, count in enumerate(counts):
        if count and seen + count >= rank:
            if number == len(BOUNDS):
                break
            low = BOUNDS[number - 1] if number else 0
            return low + (BOUNDS[number] - low) * max(rank - seen, 0) / count
        seen += count
    return float(BOUNDS[-1])
