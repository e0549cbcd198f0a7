"""Which roll-ups cover a span of time."""

from __future__ import annotations

from typing import Final, NamedTuple

from ...core.records.periods import DAY, MINUTE
from ..engine.schema import PERIODS

SECOND: Final = 1_000_000


class RollupSpan(NamedTuple):
    """Roll-ups of `period` seconds that start from `start` to before `end`, in microseconds.

    `condensed` says that they are there by one dimension as well.
    """

    period: int
    start: int
    end: int
    condensed: bool = False


def spans(since: int, until: int, coarsest: int = DAY) -> list[RollupSpan]:
    """Divide the time (µs, full minutes) into the fewest spans of roll-ups, in their order."""
    if since >= until:
        return []
    width = coarsest * SECOND
    first, last = -(-since // width) * width, until // width * width
    if coarsest == MINUTE:
        return [RollupSpan(MINUTE, since, until)]
    finer = PERIODS[PERIODS.index(coarsest) - 1]
    if first >= last:
        return spans(since, until, finer)
    return [
        *spans(since, first, finer),
        RollupSpan(coarsest, first, last),
        *spans(last, until, finer),
    ]
