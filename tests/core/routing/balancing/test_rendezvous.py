from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest

from gateway.core.routing.balancing.rendezvous import Ranking, Sticky, digest
from gateway.core.routing.balancing.strategies import PoolMember

from ..pools import THROWS, dice, fits, pool


def keys(count: int) -> Iterable[bytes]:
    return (b"user-%d" % number for number in range(count))


def homes(members: Sequence[PoolMember], count: int, now: float = 0.0) -> list[int]:
    subject, rng = Sticky(members), dice()
    return [next(subject.order(now, rng, key)) for key in keys(count)]


def plain(seed: bytes, key: bytes) -> int:
    """Return a number as one would work it out for one member."""
    product = digest(seed) * digest(key)
    return (product ^ product >> 64) & (2**64 - 1)


def test_numbers_are_the_same_everywhere_and_for_ever() -> None:
    # To change these moves every key of every installation, and prompts' caches with them.
    assert digest(b"openai/gpt-4o") == 0x3E1B32F32D166705
    ranking = Ranking([(0, 1.0, digest(b"a/m")), (1, 1.0, digest(b"b/m"))])
    assert ranking.numbers(b"user-1") == (0xBA3932DF0AA7CF2, 0x2490635798F4E713)
    _, members = pool(5, weights=[1, 1, 2, 1, 2])
    orders = ["".join(map(str, Sticky(members).order(0, dice(), key))) for key in keys(4)]
    assert orders == ["20413", "42301", "23410", "20341"]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_numbers_side_by_side_are_those_of_each_alone(size: int) -> None:
    seeds = [b"p/m%d" % index for index in range(size)]
    ranking = Ranking((index, 1.0, digest(seed)) for index, seed in enumerate(seeds))
    for key in [b"", b"\xff" * 100, *keys(200)]:
        numbers = ranking.numbers(key)
        assert numbers == tuple(plain(seed, key) for seed in seeds)
        ranked = sorted(range(size), key=lambda index: -numbers[index])
        assert [index for index, _ in ranking(key)] == ranked


def test_equal_weights_share_equally() -> None:
    seen = Counter(homes(pool(10)[1], THROWS))
    assert fits(seen, dict.fromkeys(range(10), 1.0))


@pytest.mark.parametrize("weights", [[1, 2, 3, 4], [1, 1, 5, 5, 0.5], [0.001, 1, 1000]])
def test_keys_fall_by_weight(weights: list[float]) -> None:
    seen = Counter(homes(pool(len(weights), weights=weights)[1], THROWS))
    assert fits(seen, dict(enumerate(weights)))


def test_second_places_of_one_members_keys_fall_by_weight() -> None:
    subject, second = Sticky(pool(4, weights=[4, 3, 2, 1])[1]), Counter[int]()
    rng = dice()
    for key in keys(THROWS):
        order = subject.order(0, rng, key)
        if next(order) == 0:
            second[next(order)] += 1
    assert fits(second, {1: 3, 2: 2, 3: 1})


@pytest.mark.parametrize("weights", [[], [1, 2, 2, 5, 1]])
def test_when_one_leaves_only_its_keys_move_and_they_come_back(weights: list[float]) -> None:
    loads, members = pool(5, weights=weights)
    before = homes(members, THROWS)
    # Away for a while, and gone from the configuration: the same for all others.
    loads[2].until = 10.0
    away = homes(members, THROWS, now=5.0)
    gone = [member for index, member in enumerate(members) if index != 2]
    after = [index + (index >= 2) for index in homes(gone, THROWS)]
    assert away == after
    moved = [new for old, new in zip(before, away, strict=True) if old != new]
    assert len(moved) == before.count(2)
    shares = {index: members[index].weight for index in (0, 1, 3, 4)}
    assert fits(Counter(moved), shares)
    assert homes(members, THROWS, now=10.0) == before


def test_the_order_without_one_is_the_order_of_the_rest() -> None:
    _, members = pool(6, weights=[1, 2, 1, 3, 3, 1])
    whole, rest = Sticky(members), Sticky(members[1:])
    for key in keys(500):
        order = [index for index in whole.order(0, dice(), key) if index]
        assert [index + 1 for index in rest.order(0, dice(), key)] == order


def test_the_place_in_the_pool_means_nothing() -> None:
    _, members = pool(4, weights=[1, 2, 1, 1])
    turned = Sticky(members[::-1])
    for key, home in zip(keys(500), homes(members, 500), strict=True):
        assert next(turned.order(0, dice(), key)) == 3 - home


def test_in_a_slow_start_keys_come_home_one_by_one_and_stay() -> None:
    loads, members = pool(3)
    # Of a third of them shares are known to 0.009.
    count = 2 * THROWS
    at_home = homes(members, count)
    mine = {number for number, home in enumerate(at_home) if home == 0}
    back: set[int] = set()
    for loads[0].strength in (0.1, 0.3, 0.7, 1.0):
        now = homes(members, count)
        here = {number for number, home in enumerate(now) if home == 0}
        assert len(here) / len(mine) == pytest.approx(loads[0].strength, abs=0.02)
        assert back <= here <= mine
        # Whose home is elsewhere notices nothing of it.
        assert all(now[n] == home for n, home in enumerate(at_home) if n not in mine)
        back = here
    assert back == mine


def test_requests_without_a_key_take_turns() -> None:
    subject, rng = Sticky(pool(3)[1]), dice()
    assert [next(subject.order(0, rng)) for _ in range(6)] == [0, 1, 2, 0, 1, 2]
    assert len({next(subject.order(0, rng, b"user-1")) for _ in range(6)}) == 1
    assert next(subject.order(0, rng)) == 0  # keys take no turns


def test_spares_among_themselves_are_sticky_too() -> None:
    _, members = pool(3, weights=[0, 0, 0])
    assert homes(members, 1_000) == homes(pool(3)[1], 1_000)
