from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

from gateway.core.routing.balancing.strategies import STRATEGIES, StrategyName, balancer

from ....rounds import rounds
from ..pools import THROWS, dice, firsts, fits, pool, simulate


def test_every_name_has_a_strategy() -> None:
    assert set(STRATEGIES) == set(get_args(StrategyName))


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("priority", {0: 1}),
        ("weighted", {0: 1, 1: 2, 2: 3}),
        ("round_robin", {0: 1, 1: 1, 2: 1}),
        ("least_busy", {0: 1, 1: 1, 2: 1}),
        # Drawn twice, with replacement; of two that differ the heavier one costs less.
        ("lowest_latency", {0: 1, 1: 8, 2: 27}),
        ("cheapest", {1: 1, 2: 1}),
        ("sticky", {0: 1, 1: 1, 2: 1}),
    ],
)
def test_shares_of_an_idle_pool(name: StrategyName, shares: dict[int, float]) -> None:
    subject = balancer(name, pool(3, weights=[1, 2, 3], prices=[2, 1, 1])[1])
    seen = firsts(subject, rounds(9_999, 99_999), dice())
    assert seen.keys() == shares.keys()
    assert len(shares) == 1 or fits(seen, shares)


# priority...


def test_priority_is_the_order_given() -> None:
    loads, members = pool(4, weights=[1, 0, 9, 1])
    subject = balancer("priority", members)
    assert list(subject.order(0, dice())) == [0, 1, 2, 3]
    loads[0].until = loads[2].until = 5.0
    assert list(subject.order(4.9, dice())) == [1, 3, 0, 2]
    assert list(subject.order(5.0, dice())) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["priority", "cheapest"])
def test_a_slow_start_takes_its_place_by_chance(name: StrategyName) -> None:
    loads, members = pool(3, prices=[1, 2, 3])
    subject, rng = balancer(name, members), dice()
    for loads[0].strength in (0.1, 0.5, 0.9):
        seen = firsts(subject, THROWS, rng)
        assert fits(seen, {0: loads[0].strength, 1: 1 - loads[0].strength})
    loads[0].strength = 0.1
    orders = {tuple(subject.order(0, rng)) for _ in range(1_000)}
    assert orders == {(0, 1, 2), (1, 2, 0)}


def test_the_primary_is_back_in_steps_after_an_outage() -> None:
    loads, members = pool(2)
    subject, seen = balancer("priority", members), [Counter[int]() for _ in range(9)]
    loads[0].until = 100.0
    for now, index in simulate(
        subject, loads, lambda *_: (0.1, True), picks=18_000, rate=100.0, seed=3
    ):
        loads[0].strength = max(0.1, min(1.0, (now - 100.0) / 30.0))
        seen[min(8, int(now // 20))][index] += 1
    shares = [counts[0] / counts.total() for counts in seen]
    assert shares[:5] == [0.0] * 5
    assert shares[5] == pytest.approx(1 / 3, abs=0.05)  # of 0 to 20 s of 30
    assert shares[6] == pytest.approx(11 / 12, abs=0.05)
    assert shares[7:] == [1.0, 1.0]


# cheapest...


def test_cheapest_goes_by_price_and_those_of_one_price_take_turns() -> None:
    loads, members = pool(5, prices=[3, 1, 2, 1, 1])
    subject, rng = balancer("cheapest", members), dice()
    orders = [list(subject.order(0, rng)) for _ in range(6)]
    assert [order[0] for order in orders] == [1, 3, 4, 1, 3, 4]
    assert all(set(order[:3]) == {1, 3, 4} and order[3:] == [2, 0] for order in orders)
    loads[3].until = 1.0
    assert firsts(subject, 100, rng) == {1: 50, 4: 50}
    loads[1].until = loads[4].until = 1.0
    assert list(subject.order(0, rng))[:2] == [2, 0]


def test_one_that_fails_does_not_send_all_to_its_neighbour() -> None:
    subject, rng = balancer("cheapest", pool(4)[1]), dice()
    second = Counter[int]()
    for _ in range(THROWS):
        order = subject.order(0, rng)
        if next(order) == 0:
            second[next(order)] += 1
    assert fits(second, {1: 1, 2: 1, 3: 1})
