from __future__ import annotations

import math
from collections import Counter

import pytest

from gateway.core.routing.balancing.rotation import Rotation

from ....rounds import rounds
from ..pools import THROWS, dice, firsts, fits, pool


def turns(subject: Rotation, count: int, now: float = 0.0) -> list[int]:
    return [next(subject.order(now, dice())) for _ in range(count)]


def test_the_turns_of_nginx() -> None:
    # The example of nginx's commit message.
    subject = Rotation(pool(3, weights=[5, 1, 1])[1], by_weight=True)
    assert turns(subject, 14) == [0, 0, 1, 0, 2, 0, 0] * 2


def test_round_robin_ignores_weights() -> None:
    subject = Rotation(pool(3, weights=[5, 1, 1])[1])
    assert turns(subject, 7) == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.soak
def test_very_many_turns_are_smooth_at_every_moment() -> None:
    weights = [0.5, 0.3, 0.2]
    subject, rng = Rotation(pool(3, weights=weights)[1], by_weight=True), dice()
    seen, worst = [0, 0, 0], 0.0
    for turn in range(1, rounds(30_000, 1_000_000) + 1):
        seen[next(subject.order(0, rng))] += 1
        due = seen[0] - turn * 0.5, seen[1] - turn * 0.3, seen[2] - turn * 0.2
        worst = max(worst, *due, -min(due))
    # Nobody was ever a whole turn ahead or behind, so there was no burst; and adding up
    # fractions so many times has lost nothing.
    assert worst < 1.0


@pytest.mark.parametrize("size", [10, 100])
def test_weights_of_many(size: int) -> None:
    weights = [1.0 + index % 5 for index in range(size)]
    subject = Rotation(pool(size, weights=weights)[1], by_weight=True)
    total = int(sum(weights))
    assert Counter(turns(subject, total)) == dict(enumerate(weights))


def test_the_traffic_of_one_that_fails_is_shared_out_by_weight() -> None:
    subject, rng = Rotation(pool(4, weights=[4, 3, 2, 1])[1], by_weight=True), dice()
    second, last = Counter[int](), Counter[int]()
    for _ in range(THROWS):
        order = subject.order(0, rng)
        if next(order) == 0:
            _, after, end = next(order), next(order), next(order)
            second[_] += 1
            last[end] += 1
            assert after != end
    assert fits(second, {1: 3, 2: 2, 3: 1})
    assert last[3] > last[2] > last[1]


def test_a_neighbour_does_not_get_double_traffic() -> None:
    subject, rng = Rotation(pool(5)[1]), dice()
    second = Counter[int]()
    for _ in range(THROWS):
        order = subject.order(0, rng)
        if next(order) == 0:
            second[next(order)] += 1
    assert fits(second, dict.fromkeys([1, 2, 3, 4], 1.0))


def test_a_slow_start_scales_the_weight() -> None:
    loads, members = pool(3)
    subject, rng = Rotation(members), dice()
    loads[1].until = 10.0
    firsts(subject, 100, rng)
    loads[1].strength = 0.1
    assert firsts(subject, 2_100, rng, now=10.0) == {0: 1_000, 1: 100, 2: 1_000}
    loads[1].strength = 0.5
    seen = firsts(subject, 2_500, rng, now=15.0)
    assert seen[1] == pytest.approx(500, abs=1)
    loads[1].strength = 1.0
    seen = firsts(subject, 3_000, rng, now=30.0)
    assert [seen[index] for index in range(3)] == pytest.approx([1_000] * 3, abs=1)


def test_a_slow_start_is_noticed_even_if_the_absence_was_not() -> None:
    loads, members = pool(2)
    subject = Rotation(members)
    turns(subject, 10)
    loads[0].strength = 0.1  # another model's traffic has seen it break and recover
    seen = Counter(turns(subject, 1_100))
    assert seen[0] == pytest.approx(100, abs=1)


def test_who_comes_back_is_neither_owed_turns_nor_in_debt() -> None:
    loads, members = pool(4, weights=[1, 2, 3, 4])
    subject = Rotation(members, by_weight=True)
    for away in range(rounds(80, 200)):
        gone, now = loads[away % 4], float(away)
        gone.until = now + 0.5
        turns(subject, 7 + away % 5, now)
        seen = Counter(turns(subject, 100, now + 0.5))
        for index, weight in enumerate([10, 20, 30, 40]):
            assert seen[index] == pytest.approx(weight, abs=2)


def test_while_one_is_away_the_others_share_by_weight() -> None:
    loads, members = pool(3, weights=[5, 3, 2])
    subject, rng = Rotation(members, by_weight=True), dice()
    firsts(subject, 3, rng)
    loads[0].until = math.inf
    seen = firsts(subject, 1_000, rng)
    assert seen[0] == 0
    assert seen[1] == pytest.approx(600, abs=1)
