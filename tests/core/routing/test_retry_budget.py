from __future__ import annotations

import itertools
import random
from collections import deque
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.routing.retry_budget import BUCKETS, RetryBudget, RetryBudgetPolicy, RollingCount

POLICY: Final = RetryBudgetPolicy()
# Only the rate limits.
RATE: Final = RetryBudgetPolicy(per_second=0, concurrent_min=10**9)
PLENTY: Final = 10**6


def granted(budget: RetryBudget, now: float, times: int = PLENTY) -> int:
    """Return how many of `times` are granted, one after another."""
    count = 0
    while count < times and budget.withdraw(now, in_flight=0):
        budget.finish()
        count += 1
    return count


# The count...


def test_a_count_forgets_a_tenth_at_a_time() -> None:
    count = RollingCount(60)
    for now in range(120):
        count.add(now)
    # The bucket begun at 114, and nine before it.
    assert count.total(119) == 60
    assert [count.total(now) for now in (120, 126, 150, 168, 173.9, 174)] == [54, 48, 24, 6, 6, 0]


def test_a_count_forgets_all_at_once_after_a_pause() -> None:
    count = RollingCount(60)
    count.add(0)
    count.add(59.9)
    assert count.total(59.9) == 2
    count.add(1e9)
    assert count.total(1e9) == 1
    assert repr(count) == f"<RollingCount {[0] * 9 + [1]}>"
    count.clear()
    assert count.total(1e9) == 0


@given(st.floats(1, 1e4), st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=60))
def test_a_count_is_that_of_nine_buckets_and_a_begun_one(
    window: float, steps: list[tuple[bool, float]]
) -> None:
    count, now, seen = RollingCount(window), 0.0, []
    for add, tenths in steps:
        now += tenths * window / 40
        if add:
            count.add(now)
            seen.append(now)
        total = count.total(now)
        # Exactly, but for what rounding may say of an instant between two buckets.
        slack = 1e-6 * window
        assert total >= sum(now - at < 0.9 * window - slack for at in seen)
        assert total <= sum(now - at < window + slack for at in seen)


# The rate...


def test_a_fresh_budget_holds_a_window_of_its_floor() -> None:
    budget = RetryBudget(POLICY)
    assert granted(budget, now=1002) == 60
    assert budget.exhausted == 1
    # And no more, until these are a window old: the buckets are six seconds wide.
    assert granted(budget, now=1061.9) == 0
    assert granted(budget, now=1062) == 60


def test_first_attempts_earn_a_fifth() -> None:
    budget = RetryBudget(RATE)
    assert granted(budget, 0) == 0
    for firsts, later in [(4, 0), (1, 1), (4, 0), (11, 3), (300, 60)]:
        for _ in range(firsts):
            budget.deposit(0)
        assert granted(budget, 0) == later


@pytest.mark.parametrize("ratio", [0.01, 0.1, 0.29, 0.3, 0.57, 0.7, 1.0])
def test_rounding_costs_nobody_an_attempt(ratio: float) -> None:
    budget = RetryBudget(RetryBudgetPolicy(ratio=ratio, per_second=0))
    for _ in range(100):
        budget.deposit(0)
    assert granted(budget, 0) == round(ratio * 100)


@pytest.mark.parametrize(("now", "left"), [(0, 20), (53, 20), (59.9, 20), (60, 0), (1e6, 0)])
def test_deposits_expire(now: float, left: int) -> None:
    budget = RetryBudget(RATE)
    for _ in range(100):
        budget.deposit(0)
    assert granted(budget, now) == left


def test_a_withdrawal_outlives_the_deposits_it_was_made_from() -> None:
    budget = RetryBudget(RATE)
    for _ in range(100):
        budget.deposit(0)
    assert granted(budget, 50) == 20
    for _ in range(100):
        budget.deposit(70)
    # The first hundred are gone, what they paid for is not: else they would pay twice.
    assert granted(budget, 70) == 0
    assert granted(budget, 108) == 20


def test_nothing_is_granted_if_nothing_is_allowed() -> None:
    budget = RetryBudget(RetryBudgetPolicy(ratio=0, per_second=0))
    for _ in range(1000):
        budget.deposit(0)
    assert granted(budget, 0) == 0


# Concurrency...


@pytest.mark.parametrize(
    ("in_flight", "most"), [(0, 3), (1, 3), (15, 3), (19, 3), (20, 4), (100, 20), (104, 20)]
)
def test_later_attempts_are_a_fifth_of_those_in_flight_or_three(in_flight: int, most: int) -> None:
    budget = RetryBudget(POLICY)
    grants = [budget.withdraw(0, in_flight) for _ in range(most + 2)]
    assert grants == [True] * most + [False] * 2
    assert (budget.retries_in_flight, budget.exhausted) == (most, 2)
    budget.finish()
    assert budget.withdraw(0, in_flight)
    assert not budget.withdraw(0, in_flight)


def test_rounding_costs_nobody_an_attempt_in_flight() -> None:
    budget = RetryBudget(RetryBudgetPolicy(concurrent_ratio=0.29))
    assert sum(budget.withdraw(0, 100) for _ in range(100)) == 29


def test_what_concurrency_refuses_is_not_charged() -> None:
    budget = RetryBudget(RetryBudgetPolicy(per_second=0.1, concurrent_min=1))
    assert budget.withdraw(0, 0)
    for _ in range(100):
        assert not budget.withdraw(0, 0)
    budget.finish()
    assert granted(budget, 0) == 5


def test_concurrency_can_forbid_them_all() -> None:
    budget = RetryBudget(RetryBudgetPolicy(concurrent_ratio=0, concurrent_min=0))
    assert not budget.withdraw(0, 1000)


def test_more_cannot_finish_than_began() -> None:
    with pytest.raises(AssertionError):
        RetryBudget(POLICY).finish()


# The policy...


def test_a_reload_keeps_what_was_spent() -> None:
    budget = RetryBudget(POLICY)
    assert granted(budget, 0, 50) == 50
    assert budget.withdraw(0, 0)
    budget.policy = RetryBudgetPolicy(per_second=0.9, concurrent_min=2)
    assert budget.policy.per_second == 0.9
    assert budget.withdraw(0, 0)  # the second in flight, the 52nd of 54
    assert not budget.withdraw(0, 0)
    budget.finish()
    assert granted(budget, 0) == 2
    # Another window begins anew; what is in flight still is.
    budget.policy = RetryBudgetPolicy(window=30, concurrent_min=2)
    assert budget.retries_in_flight == 1
    assert granted(budget, 0) == 30


@pytest.mark.parametrize(
    "table",
    [
        {"ratio": -0.1},
        {"ratio": 1.5},
        {"per_second": -1.0},
        {"window": 0.0},
        {"concurrent_ratio": 2.0},
        {"concurrent_min": -1},
        {"ttl": 10.0},
    ],
)
def test_the_policy_refuses_what_makes_no_sense(table: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, RetryBudgetPolicy)


def test_repr_shows_the_state() -> None:
    budget = RetryBudget(POLICY)
    granted(budget, 0)
    budget.withdraw(60, 0)
    assert repr(budget) == "<RetryBudget 1 in flight, 1 refused>"


# Anything, in any order...


@given(
    st.floats(0, 1),
    st.floats(0, 2),
    st.lists(st.tuples(st.sampled_from("dwwf"), st.floats(0, 7)), max_size=200),
)
def test_no_window_grants_more_than_it_earned_and_the_floor(
    ratio: float, per_second: float, steps: list[tuple[str, float]]
) -> None:
    policy = RetryBudgetPolicy(ratio=ratio, per_second=per_second, window=20)
    budget, now = RetryBudget(policy), 0.0
    firsts: list[float] = []
    laters: list[float] = []
    flying = refused = 0
    for what, seconds in steps:
        now += seconds
        if what == "d":
            budget.deposit(now)
            firsts.append(now)
        elif what == "w":
            recent = [
                sum(int(now / 2) - int(at / 2) < BUCKETS for at in times)
                for times in (firsts, laters)
            ]
            earned = per_second * 20 + ratio * recent[0] - recent[1] >= 1 - 1e-9
            grant = budget.withdraw(now, in_flight=10)
            assert grant is (earned and flying < 3)
            if grant:
                laters.append(now)
            flying += grant
            refused += not grant
        elif flying:
            budget.finish()
            flying -= 1
        assert (budget.retries_in_flight, budget.exhausted) == (flying, refused)
    assert len(laters) <= ratio * len(firsts) + per_second * 20 * (1 + now / 20) + 1e-6


@pytest.mark.parametrize("rate", [1, 10, 100])
@pytest.mark.parametrize("share_failing", [0.05, 0.5, 1.0])
def test_amplification_is_bounded(rate: int, share_failing: float) -> None:
    """Five minutes of callers who would try three times, a call lasting ten seconds."""
    rng = random.Random(7)
    budget = RetryBudget(POLICY)
    seconds = 300
    # Of attempts under way: when it ends, which try it is.
    flying: deque[tuple[float, int]] = deque()
    firsts = laters = wanted = 0
    by_minute = [0]
    for number in range(rate * seconds):
        now = number / rate
        while flying and flying[0][0] <= now:
            ended, tries = flying.popleft()
            if tries > 1:
                budget.finish()
            if rng.random() < share_failing and tries < 3:
                wanted += 1
                if budget.withdraw(ended, len(flying)):
                    flying.append((ended + 10, tries + 1))
                    laters += 1
        if now >= 60 * len(by_minute):
            by_minute.append(laters)
        flying.append((now + 10, 1))
        budget.deposit(now)
        firsts += 1
        assert budget.retries_in_flight <= max(3, 0.2 * len(flying) / 0.8 + 1)
    # In each minute, which is a window: its earnings and its floor (and the two that end at
    # the very turn of the minute)...
    for before, after in itertools.pairwise(by_minute):
        assert after - before <= 0.2 * rate * 60 + 60 + 2
    # ...and so over the whole. Nobody is refused who asks for less than that.
    assert laters <= 0.2 * firsts + seconds
    assert laters + budget.exhausted == wanted
    if share_failing == 0.05:
        assert laters >= 0.95 * wanted
    # An outage uses up what there is: the bound is reached.
    if share_failing == 1.0 and rate == 100:
        assert laters >= 0.8 * 0.2 * firsts
