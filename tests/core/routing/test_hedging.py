from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.routing.hedging import (
    MIN_SAMPLES,
    RESERVE,
    SAMPLES,
    SHARE,
    HedgeCap,
    HedgePolicy,
    Quantile,
    delay,
)


def test_too_few_samples_say_nothing() -> None:
    usual = Quantile()
    for _ in range(MIN_SAMPLES - 1):
        usual.add(1.0)
    assert usual.p95 is None
    usual.add(1.0)
    assert usual.p95 == 1.0


@given(st.lists(st.floats(0, 300), min_size=MIN_SAMPLES, max_size=3 * SAMPLES))
def test_of_the_last_samples_a_twentieth_at_most_is_above_and_nine_tenths_below(
    samples: list[float],
) -> None:
    usual = Quantile()
    for sample in samples:
        usual.add(sample)
    last = samples[-SAMPLES:]
    p95 = usual.p95
    assert p95 is not None
    assert p95 in last
    assert sum(sample > p95 for sample in last) <= SHARE * len(last)
    assert sum(sample <= p95 for sample in last) >= 0.9 * len(last)
    assert p95 >= sorted(last)[int(0.9 * len(last))]


def test_the_percentile_follows_what_is_new_and_forgets_what_is_old() -> None:
    usual = Quantile()
    for _ in range(SAMPLES):
        usual.add(10.0)
    assert usual.p95 == 10.0
    for _ in range(SAMPLES - 7):
        usual.add(1.0)
    # Seven of 128 are more than a twentieth.
    assert usual.p95 == 10.0
    usual.add(1.0)
    assert usual.p95 == 1.0


def test_a_reserve_can_be_spent_at_once_and_no_more() -> None:
    cap = HedgeCap()
    assert [cap.spend() for _ in range(5)] == [True, True, True, False, False]


def test_twenty_requests_earn_one_hedge_exactly() -> None:
    cap = HedgeCap()
    while cap.spend():
        pass
    for _ in range(50):
        for _ in range(19):
            cap.request()
            assert not cap.spend()
        cap.request()
        assert cap.spend()


def test_quiet_hours_do_not_add_up() -> None:
    cap = HedgeCap()
    for _ in range(10_000):
        cap.request()
    assert [cap.spend() for _ in range(4)] == [True, True, True, False]


def test_if_all_is_slow_a_twentieth_is_hedged() -> None:
    cap, requests = HedgeCap(), 10_000
    hedged = 0
    for _ in range(requests):
        cap.request()
        hedged += cap.spend()
    # The few that are kept at the cap while the reserve is full are not earned.
    assert SHARE * requests <= hedged <= SHARE * requests + RESERVE


def test_no_order_of_events_gets_past_the_cap() -> None:
    rng, cap = random.Random(1), HedgeCap()
    requests = hedged = 0
    for _ in range(20_000):
        if rng.random() < 0.5:
            cap.request()
            requests += 1
        else:
            hedged += cap.spend()
        assert hedged <= RESERVE + SHARE * requests + 1e-6


@pytest.mark.parametrize(
    ("policy", "usual", "seconds"),
    [
        (HedgePolicy(), 1.25, 1.25),
        (HedgePolicy(), None, None),
        (HedgePolicy(after=2.0), None, 2.0),
        (HedgePolicy(after=2.0), 0.5, 2.0),
    ],
)
def test_delay(policy: HedgePolicy, usual: float | None, seconds: float | None) -> None:
    assert delay(policy, usual) == seconds


@pytest.mark.parametrize("after", [0, -1, "p99", None, True])
def test_the_policy_refuses_what_makes_no_sense(after: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"after": after}, HedgePolicy)


def test_the_policy_reads_seconds_and_p95() -> None:
    assert msgspec.convert({"after": "p95"}, HedgePolicy) == HedgePolicy()
    assert msgspec.convert({"after": 2, "max_extra": 2}, HedgePolicy).after == 2.0
