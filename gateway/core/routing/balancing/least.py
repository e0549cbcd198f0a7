"""The member that costs least at this moment: fewest attempts under way, or least time to answer.

`lowest_latency` does not take the best of all, which every request in the same moment would
take, but the better of two drawn by weight ("the power of two choices", Mitzenmacher 2001).
With two distinct ones the worst of a small pool would never be drawn alone, so never be
taken, so never show that it has recovered: up to `TWICE` members the two may be the same
one, which leaves the worst 1/n^2.

In larger pools what is known of a member fades: left alone, it moves from its own time to
the median of the pool, where it is taken now and then and shows its own time again.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from ..backoff import Rng
from ..health import SHORTEST, TAU, PeakEwma
from .balancer import Balancer, PoolMember

TWICE: Final = 3
# Seconds. A cost of zero would stay zero however busy it is.
FASTEST: Final = SHORTEST
MEDIAN_AGE: Final = 1.0  # seconds; far less than TAU, and no sorting for every request


class LeastBusy(Balancer):
    """`least_busy`: ties by lot; a slow start makes each attempt count for more."""

    def _rank(self, now: float, rng: Rng, key: bytes | None) -> Iterator[int]:
        up, loads = self._up, self._loads
        if not up:
            return
        first = _any_least(up, [loads[index].in_flight for index in up], rng)
        # No member costs less than the idlest at full strength. The factors of all are needed only
        # if this one is not at full strength.
        if loads[first].factor(now) < 1.0:
            first = _any_least(up, [self._cost(index, now) for index in up], rng)
        yield first
        rest = {index: (self._cost(index, now), rng()) for index in up if index != first}
        yield from sorted(rest, key=rest.__getitem__)

    def _cost(self, index: int, now: float) -> float:
        load = self._loads[index]
        return (load.in_flight + 1) / load.factor(now)


class LowestLatency(Balancer):
    """`lowest_latency`: the better of two in peak EWMA of the time to the first event."""

    def __init__(self, members: Sequence[PoolMember]) -> None:
        self._median: float | None = None
        self._median_at = -math.inf
        super().__init__(members)

    def _regroup(self) -> None:
        super()._regroup()
        self._sums = list(accumulate(self._weights[index] for index in self._up))
        self._median = None

    def _rank(self, now: float, rng: Rng, key: bytes | None) -> Iterator[int]:
        up, sums = self._up, self._sums
        while up:
            best = self._better_of_two(up, sums, now, rng)
            yield best
            up = [index for index in up if index != best]
            sums = list(accumulate(self._weights[index] for index in up))

    def _better_of_two(self, up: list[int], sums: list[float], now: float, rng: Rng) -> int:
        """Draw two of `up`, whose running sums of weights are `sums`, and return the better."""
        if len(up) == 1:
            return up[0]
        one = _drawn(sums, rng() * sums[-1])
        if len(up) <= TWICE:
            other = _drawn(sums, rng() * sums[-1])
        else:
            # The stretch of the first one is cut out of the line on which the second is drawn.
            before = sums[one - 1] if one else 0.0
            weight = sums[one] - before
            point = rng() * (sums[-1] - weight)
            other = _drawn(sums, point if point < before else point + weight)
        if one == other or self._cost(up[one], now) <= self._cost(up[other], now):
            return up[one]
        return up[other]

    def _cost(self, index: int, now: float) -> float:
        load = self._loads[index]
        known = load.first_event
        expected = known.expected(max(FASTEST, self._expected(known, now)), now)
        return expected * (load.in_flight + 1) / (self._weights[index] * load.factor(now))

    def _expected(self, known: PeakEwma, now: float) -> float:
        """Return the seconds to the first event, or 1.0 for all while none is known."""
        if self._median is None or now - self._median_at >= MEDIAN_AGE:
            self._median, self._median_at = self._middle(), now
        if self._median is None:
            return 1.0
        if known.value is None:
            return self._median
        keep = math.exp(-max(0.0, now - known.at) / TAU)
        return self._median + (known.value - self._median) * keep

    def _middle(self) -> float | None:
        # The lower one of two: where half a pool was slow, that half must have its chance.
        values = (self._loads[index].first_event.value for index in self._up)
        known = sorted(value for value in values if value is not None)
        return known[(len(known) - 1) // 2] if known else None


def _any_least(indices: list[int], costs: Sequence[float], rng: Rng) -> int:
    least = min(costs)
    if costs.count(least) == len(costs):  # an idle pool
        return indices[int(rng() * len(indices))]
    ties = [index for index, cost in zip(indices, costs, strict=True) if cost == least]
    return ties[int(rng() * len(ties))]


def _drawn(sums: list[float], point: float) -> int:
    """Return the index of the stretch of the line that `point` is in."""
    # Rounding may put a point at the very end of the line, behind the last stretch.
    return bisect_right(sums, point, 0, len(sums) - 1)
