from __future__ import annotations

import random
from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.routing.balancing.balancer import shuffled
from gateway.core.routing.balancing.strategies import PoolMember, StrategyName, balancer

from ..pools import THROWS, FakeLoad, dice, firsts, fits, pool

NAMES: tuple[StrategyName, ...] = get_args(StrategyName)
each_strategy = pytest.mark.parametrize("name", NAMES)
each_but_priority = pytest.mark.parametrize("name", [name for name in NAMES if name != "priority"])
KEYS = [None, b"", b"user-1", b"user-2"]


@st.composite
def loads(draw: st.DrawFn) -> FakeLoad:
    load = FakeLoad(
        until=draw(st.sampled_from([0.0, 0.0, 5.0])),
        due=draw(st.booleans()) and draw(st.booleans()),
        strength=draw(st.sampled_from([1.0, 1.0, 0.5, 0.1])),
        in_flight=draw(st.integers(0, 3)),
    )
    if draw(st.booleans()):
        load.first_event.add(draw(st.floats(0, 60)), now=draw(st.floats(0, 9)))
    return load


@st.composite
def members(draw: st.DrawFn) -> list[PoolMember]:
    weights, prices = st.sampled_from([1.0, 1.0, 3, 0.01, 0]), st.sampled_from([0.0, 1.0, 2.5])
    return [
        PoolMember(load, weight=draw(weights), price=draw(prices), seed=b"p/m%d" % index)
        for index, load in enumerate(draw(st.lists(loads(), max_size=9)))
    ]


@given(st.sampled_from(NAMES), members(), st.sampled_from(KEYS), st.integers())
def test_everyone_is_in_the_order_once_whatever_happens_meanwhile(
    name: StrategyName, members: list[PoolMember], key: bytes | None, seed: int
) -> None:
    subject, rng, chance, seen = balancer(name, members), dice(seed), random.Random(seed), []
    order = subject.order(1.0, rng, key)
    for index in order:
        seen.append(index)
        # While the attempt on that one runs, health changes and other requests come.
        for member in members:
            assert isinstance(member.load, FakeLoad)
            member.load.until, member.load.due = chance.choice([0.0, 5.0]), chance.random() < 0.2
            member.load.strength, member.load.in_flight = chance.choice([0.1, 1.0]), index % 3
        next(subject.order(2.0, rng, key), None)
    assert sorted(seen) == list(range(len(members)))


@given(st.sampled_from(NAMES), members(), st.sampled_from(KEYS), st.integers())
def test_the_tiers_of_an_order(
    name: StrategyName, members: list[PoolMember], key: bytes | None, seed: int
) -> None:
    order = list(balancer(name, members).order(1.0, dice(seed), key))

    def tier(index: int) -> int:
        load, spare = members[index].load, name != "priority" and members[index].weight == 0
        if load.available(1.0):
            return 2 if spare else 1
        return 3 if load.probe_due(1.0) else 4

    probed = [
        index
        for index, member in enumerate(members)
        if member.load.probe_due(1.0) and (member.weight or name == "priority")
    ]
    if probed:
        assert order[0] in probed
    rest = [tier(index) for index in order[bool(probed) :]]
    assert rest == sorted(rest)


@given(st.sampled_from(NAMES), members(), st.sampled_from(KEYS), st.integers())
def test_the_same_dice_give_the_same_orders(
    name: StrategyName, members: list[PoolMember], key: bytes | None, seed: int
) -> None:
    one, other = balancer(name, members), balancer(name, members)
    dice_1, dice_2 = dice(seed), dice(seed)
    for now in range(5):
        assert list(one.order(now, dice_1, key)) == list(other.order(now, dice_2, key))


@each_strategy
def test_an_empty_pool_and_one_of_one(name: StrategyName) -> None:
    assert list(balancer(name, []).order(0, dice(), b"key")) == []
    assert list(balancer(name, pool(1)[1]).order(0, dice(), b"key")) == [0]


@each_strategy
def test_whoever_takes_only_the_first_pays_for_no_more(name: StrategyName) -> None:
    loads, members = pool(100)
    subject, rng = balancer(name, members), dice()
    next(subject.order(0, rng, b"key"))  # who has not been asked yet is asked now
    before = sum(load.asked_factor for load in loads)
    next(subject.order(0, rng, b"key"))
    assert sum(load.asked_factor for load in loads) - before <= 2


@each_strategy
def test_an_order_nobody_reads_takes_no_turn(name: StrategyName) -> None:
    subject, other = balancer(name, pool(4)[1]), balancer(name, pool(4)[1])
    for _ in range(3):
        subject.order(0, dice())
    assert list(subject.order(0, dice())) == list(other.order(0, dice()))


@each_strategy
def test_a_request_carries_one_probe_and_each_that_is_due_gets_its_share(
    name: StrategyName,
) -> None:
    loads, members = pool(5)
    for index in (1, 2, 4):
        loads[index].due = True
    subject, rng, seen = balancer(name, members), dice(), Counter[int]()
    for _ in range(3_000):
        order = list(subject.order(0, rng))
        seen[order[0]] += 1
        assert set(order[1:3]) == {0, 3}
    assert fits(seen, {1: 1, 2: 1, 4: 1})


@each_strategy
def test_one_that_was_away_comes_back_by_a_probe(name: StrategyName) -> None:
    loads, members = pool(3)
    subject, rng = balancer(name, members), dice()
    loads[0].until = 30.0
    assert 0 not in firsts(subject, 1_000, rng)
    loads[0].due = True
    assert next(subject.order(30.0, rng)) == 0
    loads[0].due = False
    assert firsts(subject, 1_000, rng, now=31.0)[0] > 300


@each_strategy
def test_who_does_not_probe_is_sent_to_who_is_well_first(name: StrategyName) -> None:
    loads, members = pool(4)
    subject, rng = balancer(name, members), dice()
    loads[0].due = loads[2].due = True
    for _ in range(100):
        order = list(subject.order(0, rng, b"key", probing=False))
        assert set(order[:2]) == {1, 3}
        assert sorted(order) == [0, 1, 2, 3]
    for load in loads:
        load.due = True
    # When nobody is known to be well it is as good a try as any.
    assert sorted(subject.order(0, rng, probing=False)) == [0, 1, 2, 3]


@each_but_priority
def test_a_spare_serves_only_when_all_others_are_away(name: StrategyName) -> None:
    loads, members = pool(4, weights=[0, 1, 1, 0], prices=[0, 1, 2, 0])
    subject, rng = balancer(name, members), dice()
    loads[1].strength = loads[2].strength = 0.1  # better slow than a spare
    for key in KEYS:
        order = list(subject.order(0, rng, key))
        assert set(order[:2]) == {1, 2}
    loads[2].until = 1.0
    for key in KEYS:
        order = list(subject.order(0, rng, key))
        assert (order[0], order[3]) == (1, 2)
    loads[1].until = 1.0
    assert set(firsts(subject, 100, rng)) == {0, 3}


@each_but_priority
def test_a_spare_is_probed_when_it_is_needed(name: StrategyName) -> None:
    loads, members = pool(2, weights=[1, 0])
    loads[1].due = True
    subject = balancer(name, members)
    assert list(subject.order(0, dice())) == [0, 1]
    loads[0].until = 1.0
    assert list(subject.order(0, dice())) == [1, 0]


@each_strategy
def test_all_away(name: StrategyName) -> None:
    loads, members = pool(3)
    for load in loads:
        load.until = 1.0
    subject = balancer(name, members)
    assert list(subject.order(0, dice(), b"key")) == [0, 1, 2]
    assert repr(subject).endswith("of 3, down [0, 1, 2]>")


@each_strategy
def test_a_pool_that_is_slow_starting_as_a_whole_is_served_in_full(name: StrategyName) -> None:
    loads, members = pool(3)
    for load in loads:
        load.strength = 0.1
    subject, rng = balancer(name, members), dice()
    for _ in range(100):
        assert sorted(subject.order(0, rng, b"key")) == [0, 1, 2]


def test_shuffled_prefers_nobody() -> None:
    rng = dice()
    seen = Counter(tuple(shuffled(range(3), rng)) for _ in range(THROWS))
    ranks = {order: number for number, order in enumerate(sorted(seen))}
    assert len(ranks) == 6
    assert fits({ranks[o]: n for o, n in seen.items()}, dict.fromkeys(range(6), 1.0))
