from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.core.limits.bucket import PERIOD, BucketLevel, TokenBucket

from ...rounds import rounds


def taken(limit: int, *amounts: int, now: float = 0.0) -> TokenBucket:
    bucket = TokenBucket(limit)
    for amount in amounts:
        assert bucket.admits(amount, now)
        bucket.take(amount, now)
    return bucket


# (when, how much, is it let through, and if not how long to wait) of 60 a minute, one a second.
SIXTY: list[tuple[float, int, bool, float]] = [
    (0.0, 61, False, math.inf),
    (0.0, 60, True, 0.0),
    (0.0, 1, False, 1.0),
    (0.5, 1, False, 0.5),
    (1.0, 2, False, 1.0),
    (1.0, 1, True, 0.0),
    (1.0, 1, False, 1.0),
    (31.0, 31, False, 1.0),
    (31.0, 30, True, 0.0),
    (31.0, 60, False, 60.0),
    # Full since 91. What it was too full to take is lost.
    (1000.0, 61, False, math.inf),
    (1000.0, 60, True, 0.0),
    (1000.0, 0, True, 0.0),
    (1000.0, 1, False, 1.0),
]


def test_a_bucket_of_sixty_a_minute() -> None:
    bucket = TokenBucket(60)
    for now, amount, admitted, wait in SIXTY:
        assert (bucket.admits(amount, now), bucket.wait(amount, now)) == (admitted, wait), now
        if admitted:
            bucket.take(amount, now)


@pytest.mark.parametrize("now", [0.0, 0.1, 987_654.321])
def test_the_last_of_a_full_bucket_is_let_through(now: float) -> None:
    for limit in [*range(1, 120), 999, 1000, 3_001, 10_007]:
        bucket = TokenBucket(limit)
        for _ in range(limit):
            assert bucket.admits(1, now)
            bucket.take(1, now)
        assert not bucket.admits(1, now)
        assert bucket.level(now).remaining == 0


LEVELS: list[tuple[float, BucketLevel]] = [
    (0.0, BucketLevel(120, 20, 50.0)),
    (0.25, BucketLevel(120, 20, 49.75)),
    (0.5, BucketLevel(120, 21, 49.5)),
    (49.0, BucketLevel(120, 118, 1.0)),
    (50.0, BucketLevel(120, 120, 0.0)),
    (1e6, BucketLevel(120, 120, 0.0)),
]


@pytest.mark.parametrize(("now", "level"), LEVELS)
def test_levels(now: float, level: BucketLevel) -> None:
    assert taken(120, 100).level(now) == level


# (reserved at 0, settled when, on what; seconds until full then) of 60 a minute.
SETTLED: list[tuple[int, float, int, float]] = [
    (10, 0.0, 10, 10.0),
    (10, 4.0, 10, 6.0),
    (10, 4.0, 7, 3.0),
    (10, 4.0, 3, 0.0),
    (10, 4.0, 0, 0.0),
    (10, 50.0, 0, 0.0),
    # More than was reserved counts from when it is known.
    (10, 4.0, 15, 11.0),
    (10, 50.0, 15, 5.0),
    (10, 0.0, 200, 200.0),
    (0, 5.0, 3, 3.0),
]


@pytest.mark.parametrize(("reserved", "now", "used", "reset"), SETTLED)
def test_settling(reserved: int, now: float, used: int, reset: float) -> None:
    bucket = TokenBucket(60)
    charge = bucket.take(reserved, 0.0)
    bucket.settle(charge, used, now)
    assert bucket.level(now).reset == reset


def test_a_debt_is_worked_off_before_anything_is_let_through() -> None:
    bucket = TokenBucket(60)
    bucket.settle(bucket.take(10, 0.0), 90, 0.0)
    assert bucket.level(0.0) == BucketLevel(60, 0, 90.0)
    assert not bucket.admits(0, 29.9)
    assert bucket.admits(0, 30.0)
    assert bucket.wait(1, 10.0) == 21.0
    assert bucket.admits(1, 31.0)


def test_giving_back_does_not_make_a_bucket_larger() -> None:
    bucket = TokenBucket(60)
    charge = bucket.take(60, 0.0)
    assert bucket.admits(60, 60.0)
    bucket.settle(charge, 0, 60.0)
    assert not bucket.admits(61, 60.0)
    bucket.take(60, 60.0)
    assert not bucket.admits(1, 60.0)


# (limit before, taken of it, limit after; how much is left at once, seconds until full)
RESIZED: list[tuple[int, int, int, int, float]] = [
    (60, 30, 600, 300, 30.0),
    (600, 300, 60, 30, 30.0),
    (60, 60, 6000, 0, 60.0),
    (60, 0, 6, 6, 0.0),
    (60, 45, 60, 15, 45.0),
]


@pytest.mark.parametrize(("before", "used", "after", "left", "reset"), RESIZED)
def test_another_limit_keeps_the_share_that_is_left(
    before: int, used: int, after: int, left: int, reset: float
) -> None:
    bucket = taken(before, used)
    bucket.resize(after, 0.0)
    assert bucket.level(0.0) == BucketLevel(after, left, reset)


def test_another_limit_lets_off_a_debt_and_the_same_limit_does_not() -> None:
    bucket = TokenBucket(60)
    bucket.settle(0.0, 6000, 0.0)
    bucket.resize(60, 10.0)
    assert bucket.level(10.0).reset == 5990.0
    bucket.resize(61, 10.0)
    assert bucket.level(10.0) == BucketLevel(61, 0, PERIOD)


def test_a_reserve_comes_back_whole_after_another_limit() -> None:
    bucket = TokenBucket(60)
    charge = bucket.take(30, 0.0)
    bucket.resize(600, 0.0)
    bucket.settle(charge, 30, 0.0)
    assert bucket.level(0.0) == BucketLevel(600, 570, 3.0)


limits = st.integers(1, 10**7)
times = st.floats(0, 1e6)


@given(limits, st.lists(st.floats(0, 1)), limits, times, st.floats(0, 1))
def test_another_limit_locks_nobody_out_for_longer_than_a_minute(
    before: int, shares: list[float], after: int, now: float, share: float
) -> None:
    bucket = TokenBucket(before)
    for each in shares:
        bucket.settle(0.0, int(2 * each * before), now)
    if after != before:
        bucket.resize(after, now)
        assert bucket.wait(int(share * after), now) <= PERIOD + 1e-6


@given(limits, st.lists(st.tuples(st.floats(0, 1), st.floats(0, 30))), st.floats(0, 1), times)
def test_a_wait_is_as_long_as_it_must_be_and_no_longer(
    limit: int, history: list[tuple[float, float]], share: float, now: float
) -> None:
    bucket = TokenBucket(limit)
    for each, passed in history:
        now += passed
        bucket.take(int(each * limit), now)
    amount = int(share * limit)
    wait = bucket.wait(amount, now)
    assert bucket.admits(amount, now + wait)
    if wait > 1e-3:
        assert not bucket.admits(amount, now + wait - 1e-3)


@given(limits, st.lists(st.floats(0, 1), max_size=5), times)
def test_what_remains_can_be_had_and_one_more_cannot(
    limit: int, shares: list[float], now: float
) -> None:
    bucket = TokenBucket(limit)
    for share in shares:
        bucket.take(int(share * limit), now)
    left = bucket.level(now).remaining
    assert 0 <= left <= limit
    assert not bucket.admits(left + 1, now)
    if bucket.level(now).reset <= PERIOD:
        assert bucket.admits(left, now)


EIGHTH = Fraction(1, 8)


class Watched(RuleBasedStateMachine):
    """Against a level that rises and falls: in eighths of a second all floats are exact."""

    limit = 480  # eight a second

    def __init__(self) -> None:
        super().__init__()
        self.bucket = TokenBucket(self.limit)
        self.now = Fraction(0)
        self.left = Fraction(self.limit)
        self.held: list[tuple[float, int]] = []
        # When, and how much was let through less what came back.
        self.flows: list[tuple[Fraction, int]] = []

    @rule(eighths=st.integers(0, 400))
    def wait(self, eighths: int) -> None:
        self.now += eighths * EIGHTH
        self.left = min(Fraction(self.limit), self.left + eighths)

    @rule(amount=st.integers(0, 500))
    def take(self, amount: int) -> None:
        fits = amount <= self.left
        assert self.bucket.admits(amount, float(self.now)) is fits
        if not fits:
            short = amount - self.left
            expected = math.inf if amount > self.limit else float(short * EIGHTH)
            assert self.bucket.wait(amount, float(self.now)) == expected
            return
        self.held.append((self.bucket.take(amount, float(self.now)), amount))
        self.left -= amount
        self.flows.append((self.now, amount))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), used=st.integers(0, 700))
    def settle(self, data: st.DataObject, used: int) -> None:
        charge, amount = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.bucket.settle(charge, used, float(self.now))
        self.left = min(Fraction(self.limit), self.left + amount - used)
        self.flows.append((self.now, used - amount))

    @invariant()
    def agrees(self) -> None:
        level = self.bucket.level(float(self.now))
        assert level.reset == float((self.limit - self.left) * EIGHTH)
        assert level.remaining == max(0, self.left)

    @invariant()
    def no_window_has_more_than_a_bucket_and_its_refill(self) -> None:
        # What a window lets through is paid by the bucket that it began with, by time, or by
        # what came back in it. A debt, let in afterwards, is the only excess there may be.
        net = 0
        for start, flow in reversed(self.flows):
            net += flow
            allowed = self.limit + (self.now - start) / EIGHTH
            assert net <= allowed + max(Fraction(0), -self.left)


TestWatched = Watched.TestCase
TestWatched.settings = settings(max_examples=rounds(20, 300))
