from __future__ import annotations

from collections import Counter

import pytest

from gateway.core.routing.balancing.least import FASTEST, MEDIAN_AGE, LeastBusy, LowestLatency

from ....rounds import rounds
from ..pools import THROWS, dice, firsts, fits, pool, simulate

PICKS = rounds(40_000, 100_000)
# When it begins, when it ends and when it is over for good, in seconds.
OUTAGE = rounds((400, 1000, 1500), (600, 2400, 3000))

# least_busy...


def test_the_fewest_in_flight_first() -> None:
    loads, members = pool(4)
    for load, count in zip(loads, [3, 0, 2, 1], strict=True):
        load.in_flight = count
    assert list(LeastBusy(members).order(0, dice())) == [1, 3, 2, 0]


def test_ties_fall_by_lot() -> None:
    loads, members = pool(5)
    loads[3].in_flight = 1
    subject, rng = LeastBusy(members), dice()
    seen, second = Counter[int](), Counter[int]()
    for _ in range(THROWS):
        order = subject.order(0, rng)
        seen[next(order)] += 1
        second[next(order)] += 1
    even = dict.fromkeys([0, 1, 2, 4], 1.0)
    assert fits(seen, even)
    assert fits(second, even)
    loads[3].in_flight = 0
    assert fits(firsts(subject, THROWS, rng), dict.fromkeys(range(5), 1.0))


def test_what_follows_goes_by_the_load_of_that_moment() -> None:
    loads, members = pool(3)
    loads[1].in_flight, loads[2].in_flight = 1, 2
    order = LeastBusy(members).order(0, dice())
    assert next(order) == 0
    loads[1].in_flight = 3
    assert list(order) == [2, 1]


def test_an_attempt_counts_for_more_in_a_slow_start() -> None:
    loads, members = pool(3)
    loads[0].strength = 0.25
    subject, rng = LeastBusy(members), dice()
    assert fits(firsts(subject, THROWS, rng), {1: 1, 2: 1})
    loads[1].in_flight = loads[2].in_flight = 2  # (0 + 1) / 0.25 is still more than 2 + 1
    assert fits(firsts(subject, THROWS, rng), {1: 1, 2: 1})
    loads[1].in_flight = loads[2].in_flight = 3  # as much
    assert fits(firsts(subject, THROWS, rng), {0: 1, 1: 1, 2: 1})
    loads[1].in_flight = loads[2].in_flight = 4
    assert firsts(subject, 100, rng) == {0: 100}


def test_a_slow_one_holds_its_share_of_what_is_in_flight() -> None:
    loads, members = pool(4)
    took = [1.0, 1.0, 1.0, 9.0]
    sent = simulate(
        LeastBusy(members), loads, lambda index, _: (took[index], True), picks=50_000, rate=40
    )
    seen = Counter(index for _, index in sent)
    # About as many in flight at each, so a ninth of the others' traffic. A little more: it is
    # filled up whenever the others are all busier, and then empties more slowly than they do.
    assert 1 / 28 < seen[3] / 50_000 < 1.2 / 28


# lowest_latency...


def latencies(*seconds: float) -> LowestLatency:
    loads, members = pool(len(seconds))
    for load, value in zip(loads, seconds, strict=True):
        load.first_event.add(value, now=0)
    return LowestLatency(members)


def test_small_pools_leave_the_worst_a_square() -> None:
    rng = dice()
    assert fits(firsts(latencies(0.1, 5.0), THROWS, rng), {0: 3, 1: 1})
    assert fits(firsts(latencies(9.0, 0.1, 5.0), THROWS, rng), {1: 5, 2: 3, 0: 1})


def test_larger_pools_draw_two_that_differ() -> None:
    subject, rng = latencies(1, 2, 3, 4, 5), dice()
    assert fits(firsts(subject, THROWS, rng), {0: 4, 1: 3, 2: 2, 3: 1, 4: 0})


def test_draws_are_by_weight() -> None:
    weights = [1.0, 2.0, 3.0, 4.0]
    subject, rng = LowestLatency(pool(4, weights=weights)[1]), dice()
    # All cost alike but for the weight: the heavier one of two wins.
    expected = dict.fromkeys(range(4), 0.0)
    for one in range(4):
        for other in range(4):
            if one != other:
                chance = weights[one] / 10 * weights[other] / (10 - weights[one])
                expected[max(one, other)] += chance
    assert fits(firsts(subject, THROWS, rng), expected)


def test_ties_fall_by_weight_alone() -> None:
    weights = [1.0, 2.0, 3.0, 4.0]
    loads, members = pool(4, weights=weights)
    for load, weight in zip(loads, weights, strict=True):
        load.first_event.add(weight, now=0)
    seen = firsts(LowestLatency(members), THROWS, dice())
    assert fits(seen, dict(enumerate(weights)))


def test_the_cost_counts_the_attempts_under_way_and_the_slow_start() -> None:
    loads, members = pool(4)
    for load in loads:
        load.first_event.add(1.0, now=0)
    loads[0].in_flight = 2
    loads[1].strength = 0.5
    rng = dice()
    # Costs 3, 2, 1, 1.
    expected = {2: 1 / 4 + 1 / 6, 3: 1 / 4 + 1 / 6, 1: 1 / 6, 0: 0}
    assert fits(firsts(LowestLatency(members), THROWS, rng), expected)


def test_nothing_costs_nothing() -> None:
    loads, members = pool(4)
    for load in loads:
        load.first_event.add(0.0, now=0)
    loads[0].in_flight = 1
    assert 0 not in firsts(LowestLatency(members), 1_000, dice())
    loads[1].first_event.add(FASTEST / 2, now=0)
    assert fits(firsts(LowestLatency(members), 10_000, dice()), {1: 1, 2: 1, 3: 1})


def test_a_new_one_counts_as_the_median() -> None:
    loads, members = pool(6)
    for load, value in zip(loads[1:], [1.0, 2.0, 3.0, 4.0, 5.0], strict=True):
        load.first_event.add(value, now=0)
    seen = firsts(LowestLatency(members), THROWS, dice())
    # With a tie in the middle, at 3: the new one and number 3 share what falls to it.
    assert fits(seen, {1: 5, 2: 4, 3: 2.5, 0: 2.5, 4: 1, 5: 0})


def test_what_was_slow_fades_to_the_median_and_is_tried_again() -> None:
    loads, members = pool(5)
    loads[0].first_event.add(30.0, now=0)
    subject, rng = LowestLatency(members), dice()
    for now in range(100):
        for load in loads[1:]:
            load.first_event.value, load.first_event.at = 1.0, float(now)
        loads[1].in_flight = 1 if now > 35 else 0  # costs 2
        if 0 in firsts(subject, 200, rng, now=float(now)):
            break
    # 1 + 29 e^(-t/10) < 2 from t = 33.7, and the comparison with a 2 is there from 36.
    assert now == 36


def test_the_median_follows_within_a_second() -> None:
    loads, members = pool(5)
    for load in loads[1:]:
        load.first_event.add(1.0, now=0)
    loads[1].first_event.add(2.0, now=0)
    subject, rng = LowestLatency(members), dice()
    assert firsts(subject, 1_000, rng)[0] > 0  # unknown, so 1.0
    for load in loads[2:]:
        load.first_event.add(3.0, now=0)
    assert firsts(subject, 1_000, rng, now=MEDIAN_AGE)[1] > 350  # now the best: 2 of 5 draws
    assert firsts(subject, 1_000, rng, now=MEDIAN_AGE)[0] < 300


def simulated(took: list[float]) -> list[float]:
    """Return the share that each has, known to 0.2 percent."""
    loads, members = pool(len(took))
    jitter = dice(7)
    sent = simulate(
        LowestLatency(members),
        loads,
        lambda index, _: (took[index] * (0.8 + 0.4 * jitter()), True),
        picks=PICKS,
        rate=20.0,
    )
    seen = Counter(index for _, index in sent)
    return [seen[index] / PICKS for index in range(len(took))]


@pytest.mark.slow
def test_one_slow_deployment_gets_a_small_share() -> None:
    seen = simulated([0.2, 0.2, 0.2, 0.2, 0.2, 4.0])
    assert 0 < seen[5] < 0.02  # it is tried now and then
    assert all(seen[index] > 0.17 for index in range(5))


@pytest.mark.slow
def test_equals_share_equally() -> None:
    seen = simulated([0.5] * 4)
    assert all(share == pytest.approx(0.25, rel=0.05) for share in seen)


def shares_around_an_outage(took: float, *, trips: bool = False) -> list[float]:
    """Return number 0's share of the traffic of five, before, in and after its outage."""
    loads, members = pool(5)
    jitter = dice(7)
    begin, end, last = OUTAGE

    def serve(index: int, now: float) -> tuple[float, bool]:
        # Number 0 fails within 10 ms.
        failing = index == 0 and begin <= now < end
        return (0.01, False) if failing else (took * (0.8 + 0.4 * jitter()), True)

    phases = [Counter[int](), Counter[int](), Counter[int]()]
    subject = LowestLatency(members)
    for now, index in simulate(subject, loads, serve, picks=20 * last, rate=20.0, trips=trips):
        if not end <= now < end + 100:  # it has that much time to come back
            phases[(now >= begin) + (now >= end)][index] += 1
    return [seen[0] / seen.total() for seen in phases]


def test_a_failing_fast_deployment_attracts_no_traffic_and_comes_back_when_it_is_well() -> None:
    before, failing, after = shares_around_an_outage(took=0.2)
    assert before == pytest.approx(0.2, abs=0.02)
    assert 0 < failing < 0.01
    assert after == pytest.approx(0.2, abs=0.03)


@pytest.mark.slow
def test_under_load_a_failing_fast_deployment_needs_its_breaker() -> None:
    # With six in flight at each of the others, at a second each, the 5 s of the penalty for
    # one that has none in flight are no longer the higher cost.
    assert 0.2 < shares_around_an_outage(took=1.0)[1] < 0.4
    before, failing, after = shares_around_an_outage(took=1.0, trips=True)
    assert before == pytest.approx(0.2, abs=0.02)
    assert 0 < failing < 0.02
    assert after == pytest.approx(0.2, abs=0.03)


def test_a_pair_recovers_too() -> None:
    loads, members = pool(2)
    subject = LowestLatency(members)
    sent = simulate(
        subject,
        loads,
        lambda index, now: (8.0 if index == 0 and now < 1000 else 0.5, True),
        picks=rounds(30_000, 50_000),
        rate=20.0,
    )
    shares = {False: Counter[int](), True: Counter[int]()}
    for now, index in sent:
        shares[now > 1100][index] += 1
    assert shares[False][0] / shares[False].total() < 0.27
    assert shares[True][0] / shares[True].total() == pytest.approx(0.5, abs=0.03)
