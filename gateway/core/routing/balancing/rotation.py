"""Taking turns: smooth weighted round robin.

nginx's algorithm (ngx_http_upstream_get_peer in ngx_http_upstream_round_robin.c): every turn
each member gains its weight, the one with most credit takes the turn and pays the sum of all
weights. Weights 5, 1, 1 give a a b a c a a, not a a a a a b c.

Every member is visited every turn, so that is written as operations on whole lists. Members
that are not available have a credit of minus infinity and gain nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from operator import add

from ..backoff import Rng
from .balancer import Balancer, PoolMember

ABSENT = -math.inf


class Rotation(Balancer):
    """`weighted` and, if not `by_weight`, `round_robin`."""

    def __init__(self, members: Sequence[PoolMember], *, by_weight: bool = False) -> None:
        self._shares = [float(member.weight) or 1.0 if by_weight else 1.0 for member in members]
        self._credit = [ABSENT] * len(members)
        self._gain = [0.0] * len(members)
        self._turn_costs = 0.0
        self._warming: set[int] = set()
        super().__init__(members)

    def _regroup(self) -> None:
        super()._regroup()
        stayed = [self._credit[index] for index in self._up if self._credit[index] != ABSENT]
        # A member that comes back gets the mean credit: it is neither owed a turn nor in debt.
        middle = sum(stayed) / len(stayed) if stayed else 0.0
        credit, gain = [ABSENT] * len(self._credit), [0.0] * len(self._gain)
        for index in self._up:
            credit[index] = middle if self._credit[index] == ABSENT else self._credit[index]
            gain[index] = self._shares[index]
        self._credit, self._gain, self._turn_costs = credit, gain, sum(gain)
        self._warming = set(self._up)

    def _rank(self, now: float, rng: Rng, key: bytes | None) -> Iterator[int]:
        if not self._up:
            return
        up, gain = self._up, self._gain
        first = self._turn(now)
        yield first
        # The rest by lot, in proportion to what they gain: what one member drops is shared out
        # as the weights say, and is no burst for a neighbour. The least -ln(u)/w comes first
        # (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006).
        lots = {index: -math.log(1.0 - rng()) / gain[index] for index in up if index != first}
        yield from sorted(lots, key=lots.__getitem__)

    def _turn(self, now: float) -> int:
        """Return the member whose turn it is, and charge it for the turn."""
        while True:
            if self._warming:
                self._warm(now)
            credit = list(map(add, self._credit, self._gain))
            first = credit.index(max(credit))
            # A slow start follows an absence, and after one all are asked (`_regroup`). But
            # another model's traffic may have seen this one break and recover in between.
            if first in self._warming or self._loads[first].factor(now) >= 1.0:
                break
            self._warming.add(first)
        credit[first] -= self._turn_costs
        self._credit = credit
        return first

    def _warm(self, now: float) -> None:
        """Let those in a slow start gain as much as they may by now."""
        for index in tuple(self._warming):
            factor = self._loads[index].factor(now)
            self._gain[index] = factor * self._shares[index]
            if factor >= 1.0:
                self._warming.discard(index)
        self._turn_costs = sum(self._gain)
