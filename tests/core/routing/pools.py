"""Deployments that are as loaded, slow or broken as a test says, and how to judge many picks."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.core.routing.backoff import Rng
from gateway.core.routing.balancing.strategies import Balancer, PoolMember
from gateway.core.routing.health import PeakEwma

from ...rounds import rounds

# Of fixed dice. Shares are known to about 1 / sqrt(THROWS): 1.4 percent by default.
THROWS = rounds(5_000, 100_000)
PENALTY = 5.0  # seconds that a failure counts as at least
TO_TRIP, AWAY = 5, 30.0


@dataclass
class FakeLoad:
    """A deployment that is away until `until`, waits for a probe if `due`, and warms up."""

    until: float = -math.inf
    due: bool = False
    strength: float = 1.0
    in_flight: int = 0
    first_event: PeakEwma = field(default_factory=PeakEwma)
    asked_factor: int = 0
    clear: bool = False

    def available(self, now: float) -> bool:
        return not self.due and now >= self.until

    def probe_due(self, now: float) -> bool:
        return self.due

    def factor(self, now: float) -> float:
        self.asked_factor += 1
        return self.strength


def pool(
    size: int, *, weights: Sequence[float] = (), prices: Sequence[float] = ()
) -> tuple[list[FakeLoad], list[PoolMember]]:
    """Return `size` healthy deployments, p/m0 and so on, and their places in a pool."""
    loads = [FakeLoad() for _ in range(size)]
    members = [
        PoolMember(
            load,
            weight=weights[index] if weights else 1.0,
            price=prices[index] if prices else 0.0,
            seed=b"p/m%d" % index,
        )
        for index, load in enumerate(loads)
    ]
    return loads, members


def dice(seed: int = 1) -> Rng:
    return random.Random(seed).random


def firsts(balancer: Balancer, picks: int, rng: Rng, now: float = 0.0) -> Counter[int]:
    return Counter(next(balancer.order(now, rng)) for _ in range(picks))


def fits(seen: Mapping[int, int], expected: Mapping[int, float]) -> bool:
    """Test by chi squared whether `seen` may come from the shares `expected`.

    A true one is refused once in 30,000 (4 sigma, by the Wilson-Hilferty approximation); the
    seeds are fixed, so never by chance once the test has passed.
    """
    total, shares = sum(seen.values()), sum(expected.values())
    if any(count and not expected.get(index) for index, count in seen.items()):
        return False
    wanted = {index: total * share / shares for index, share in expected.items() if share}
    chi2 = sum((seen.get(index, 0) - mean) ** 2 / mean for index, mean in wanted.items())
    spread = 2 / (9 * (len(wanted) - 1))
    return (math.cbrt(chi2 / (len(wanted) - 1)) - (1 - spread)) / math.sqrt(spread) < 4


def simulate(
    balancer: Balancer,
    loads: Sequence[FakeLoad],
    serve: Callable[[int, float], tuple[float, bool]],
    *,
    picks: int,
    rate: float,
    seed: int = 1,
    trips: bool = False,
) -> Iterable[tuple[float, int]]:
    """Send `rate` requests a second at random times; yield when each was sent, and to whom.

    `serve` says after how many seconds an attempt on a deployment ends, and whether well. If
    `trips`, one that fails `TO_TRIP` times in a row is away for `AWAY` seconds.
    """
    rng, now, failed = dice(seed), 0.0, Counter[int]()
    ends: list[tuple[float, int, float, bool]] = []
    for _ in range(picks):
        now += -math.log(1 - rng()) / rate
        while ends and ends[0][0] <= now:
            end, index, took, ok = heapq.heappop(ends)
            ewma = loads[index].first_event
            loads[index].in_flight -= 1
            ewma.add(took if ok else max(PENALTY, ewma.value or 0.0), end)
            failed[index] = 0 if ok else failed[index] + 1
            if trips and failed[index] >= TO_TRIP:
                loads[index].until = end + AWAY
        index = next(balancer.order(now, rng))
        took, ok = serve(index, now)
        loads[index].in_flight += 1
        heapq.heappush(ends, (now + took, index, took, ok))
        yield now, index
