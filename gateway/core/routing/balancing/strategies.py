"""The strategies by their names in the configuration.

priority        the order given; weights mean nothing
weighted        smooth weighted round robin
round_robin     the same, all weights alike
least_busy      fewest attempts under way
lowest_latency  the better of two in peak EWMA of the time to the first event
cheapest        by price, those of one price in turn
sticky          rendezvous hash of a key; round robin for requests without one
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal

from ..backoff import Rng
from .balancer import Balancer, Load, PoolMember, shuffled
from .least import LeastBusy, LowestLatency
from .rendezvous import Sticky
from .rotation import Rotation

__all__ = ["STRATEGIES", "Balancer", "Load", "PoolMember", "StrategyName", "balancer"]

StrategyName = Literal[
    "priority", "weighted", "round_robin", "least_busy", "lowest_latency", "cheapest", "sticky"
]


class Priority(Balancer):
    """`priority`: in the order given."""

    def __init__(self, members: Sequence[PoolMember]) -> None:
        super().__init__(members, spares=False)

    def _rank(self, now: float, rng: Rng, key: bytes | None) -> Iterator[int]:
        return self._slow_started(self._up, now, rng)


class Cheapest(Balancer):
    """`cheapest`: by price, those of one price in turn."""

    def __init__(self, members: Sequence[PoolMember]) -> None:
        self._turns = dict.fromkeys((member.price for member in members), 0)
        super().__init__(members)

    def _regroup(self) -> None:
        super()._regroup()
        groups: dict[float, list[int]] = {}
        for index in self._up:
            groups.setdefault(self._members[index].price, []).append(index)
        self._groups = sorted(groups.items())

    def _rank(self, now: float, rng: Rng, key: bytes | None) -> Iterator[int]:
        return self._slow_started(self._by_price(rng), now, rng)

    def _by_price(self, rng: Rng) -> Iterator[int]:
        for price, group in self._groups:
            turn = self._turns[price]
            self._turns[price] = turn + 1
            first = group[turn % len(group)]
            yield first
            yield from shuffled((index for index in group if index != first), rng)


STRATEGIES: Final[Mapping[StrategyName, Callable[[Sequence[PoolMember]], Balancer]]] = {
    "priority": Priority,
    "weighted": lambda members: Rotation(members, by_weight=True),
    "round_robin": Rotation,
    "least_busy": LeastBusy,
    "lowest_latency": LowestLatency,
    "cheapest": Cheapest,
    "sticky": Sticky,
}


def balancer(strategy: StrategyName, members: Sequence[PoolMember]) -> Balancer:
    """Return what orders `members`; to be kept, since it remembers which of them is next."""
    return STRATEGIES[strategy](members)
