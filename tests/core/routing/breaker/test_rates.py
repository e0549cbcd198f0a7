from __future__ import annotations

import pytest

from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.routing.breaker.rates import Tally, calm, rate_too_high, too_many_in_a_row

POLICY = BreakerPolicy()


@pytest.mark.parametrize(
    ("row", "requests", "beside", "alone"),
    [
        (4, 4, False, False),
        (5, 5, True, True),  # nothing but failures
        (5, 6, True, False),
        (5, 1000, True, False),
        (9, 10, True, True),
        (19, 1000, True, False),
        (20, 1000, True, True),
    ],
)
def test_failures_in_a_row(row: int, requests: int, beside: bool, alone: bool) -> None:
    tally = Tally(requests, row)
    assert too_many_in_a_row(POLICY, row, tally, alone=False) is beside
    assert too_many_in_a_row(POLICY, row, tally, alone=True) is alone


@pytest.mark.parametrize(
    ("requests", "failures", "beside", "alone"),
    [
        (19, 19, False, False),
        (20, 9, False, False),
        (20, 10, True, False),
        (20, 17, True, False),
        (20, 18, True, True),
        (1000, 300, False, False),
        (1000, 899, True, False),
        (1000, 900, True, True),
    ],
)
def test_the_rate(requests: int, failures: int, beside: bool, alone: bool) -> None:
    tally = Tally(requests, failures)
    assert rate_too_high(POLICY, tally, alone=False) is beside
    assert rate_too_high(POLICY, tally, alone=True) is alone


def test_a_stricter_rate_holds_for_one_alone_too() -> None:
    policy = BreakerPolicy(failure_rate=1.0)
    assert not rate_too_high(policy, Tally(100, 99), alone=True)
    assert rate_too_high(policy, Tally(100, 100), alone=True)


def test_the_failures_of_one_caller_do_not_count_for_others_alone_or_not() -> None:
    for alone in (False, True):
        assert not rate_too_high(POLICY, Tally(100, 95, 95, 95), alone=alone)
        assert not rate_too_high(POLICY, Tally(100, 100, 100, 100), alone=alone)
        assert rate_too_high(POLICY, Tally(100, 100, 99, 99), alone=alone)


@pytest.mark.parametrize(("good", "expected"), [(0.74, False), (0.75, True), (1.0, True)])
def test_what_closes_is_half_of_what_opens(good: float, expected: bool) -> None:
    assert calm(POLICY, good) is expected
