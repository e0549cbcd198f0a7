from __future__ import annotations

import math
import random
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.core.routing.breaker.breaker import COLDEST, HEALTHY, LONGEST_RETRY_AFTER, Breaker
from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.routing.breaker.states import TRANSITIONS, BreakerEvent, BreakerState, Permit

from ....rounds import rounds

POLICY: Final = BreakerPolicy()
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
NORMAL, PROBE, THROTTLED = Permit.NORMAL, Permit.PROBE, Permit.THROTTLED


def half() -> float:
    """Make every jitter 1."""
    return 0.5


def attempt(breaker: Breaker, failed: bool | None, now: float, **more: Any) -> None:
    """Enter and leave at `now`."""
    permit = breaker.enter(now)
    assert permit is not None
    breaker.leave(permit, failed, now, half, **more)


def fail(breaker: Breaker, now: float, times: int = 1, **more: Any) -> None:
    for _ in range(times):
        attempt(breaker, True, now, **more)


def tripped(policy: BreakerPolicy = POLICY, now: float = 0.0) -> Breaker:
    breaker = Breaker(policy)
    fail(breaker, now, policy.consecutive_failures)
    return breaker


def closed_again(at: float = 5.0, policy: BreakerPolicy = POLICY) -> Breaker:
    """Return a breaker that has been open until `at`, and was then found healthy."""
    breaker = tripped(policy, at - policy.open_time)
    for _ in range(policy.successes):
        attempt(breaker, False, at)
    assert breaker.state(at) is CLOSED
    return breaker


# The table...


def test_every_state_has_a_row_and_every_event_a_use() -> None:
    assert set(TRANSITIONS) == set(BreakerState)
    assert {event for row in TRANSITIONS.values() for event in row} == set(BreakerEvent)
    assert {state for row in TRANSITIONS.values() for state in row.values()} == set(BreakerState)


# Each row: when, what happens, and the state after it. "+" and "-" are a good and a bad attempt,
# "0" one that says nothing, "x" a refusal, "trip" and "invite" what a health probe does, "" a
# look at it.
STORIES: Final[dict[str, list[tuple[float, str, BreakerState]]]] = {
    "five failures in a row, whatever the time between them": [
        (0, "-", CLOSED),
        (100, "-", CLOSED),
        (200, "-", CLOSED),
        (300, "-", CLOSED),
        (400, "-", OPEN),
        (404.99, "x", OPEN),
        (405, "", HALF_OPEN),
        (405, "+", HALF_OPEN),
        (405, "+", CLOSED),
    ],
    "a success starts the row anew, what says nothing does not": [
        *[(0.0, "-", CLOSED)] * 4,
        (0, "+", CLOSED),
        *[(0.0, "-", CLOSED)] * 4,
        (0, "0", CLOSED),
        (0, "-", OPEN),
    ],
    "the open time doubles to the cap": [
        *[(0.0, "-", CLOSED)] * 4,
        (0, "-", OPEN),
        (5, "-", OPEN),
        (14.99, "x", OPEN),
        (15, "-", OPEN),
        (29.99, "x", OPEN),
        (30, "-", OPEN),
        (44.99, "x", OPEN),
        (45, "+", HALF_OPEN),
        (45, "+", CLOSED),
    ],
    "a bad probe after a good one opens it": [
        (0, "trip", OPEN),
        (5, "+", HALF_OPEN),
        (6, "-", OPEN),
        (15.99, "x", OPEN),
        # The good one is forgotten.
        (16, "+", HALF_OPEN),
        (16, "-", OPEN),
    ],
    "a probe that says nothing changes nothing": [
        (0, "trip", OPEN),
        (5, "0", HALF_OPEN),
        (5, "+", HALF_OPEN),
        (9, "0", HALF_OPEN),
        (9, "+", CLOSED),
    ],
    "failures before it opened do not count after it closed": [
        *[(0.0, "-", CLOSED)] * 4,
        (0, "-", OPEN),
        (5, "+", HALF_OPEN),
        (5, "+", CLOSED),
        *[(5.0, "-", CLOSED)] * 4,
        (5, "-", OPEN),
    ],
    "a health probe opens it, in any state, but does not prolong": [
        (0, "-", CLOSED),
        (1, "trip", OPEN),
        (5.9, "trip", OPEN),
        (6, "", HALF_OPEN),
        (7, "trip", OPEN),  # cooled, though nobody came
        (16.99, "x", OPEN),
        (17, "+", HALF_OPEN),
        (18, "trip", OPEN),
        (32.99, "x", OPEN),
        (33, "", HALF_OPEN),
    ],
    "a health probe lets the next attempt decide": [
        (0, "invite", CLOSED),
        (0, "trip", OPEN),
        (1, "x", OPEN),
        (2, "invite", HALF_OPEN),
        (2, "+", HALF_OPEN),
        (2, "invite", HALF_OPEN),
        (2, "-", OPEN),
        # An invitation is for one open time only.
        (11.99, "x", OPEN),
        (12, "", HALF_OPEN),
    ],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_stories(story: list[tuple[float, str, BreakerState]]) -> None:
    breaker = Breaker(POLICY)
    for now, what, state in story:
        match what:
            case "+" | "-" | "0":
                attempt(breaker, {"+": False, "-": True, "0": None}[what], now)
            case "x":
                assert breaker.enter(now) is None
            case "trip":
                breaker.trip(now, half)
            case "invite":
                breaker.invite(now)
        assert breaker.state(now) is state, (now, what)


# The rate...


@pytest.mark.parametrize(
    ("rate", "minimum", "needed"), [(0.5, 20, 10), (0.55, 20, 11), (0.29, 100, 29), (1.0, 3, 3)]
)
def test_the_rate_rule_opens_at_its_rate_exactly(rate: float, minimum: int, needed: int) -> None:
    policy = BreakerPolicy(failure_rate=rate, min_requests=minimum, consecutive_failures=1000)
    breaker = Breaker(policy)
    for _ in range(minimum - needed):
        attempt(breaker, False, 0)
    fail(breaker, 0, needed - 1)
    assert breaker.state(0) is CLOSED
    fail(breaker, 0)
    assert breaker.state(0) is OPEN
    assert breaker.ejected_by_rate


def test_the_rate_rule_waits_for_enough_requests_and_for_a_failure() -> None:
    breaker = Breaker(POLICY)
    for _ in range(9):
        fail(breaker, 0)
        attempt(breaker, False, 0)
    fail(breaker, 0)
    # The twentieth is a success: half have failed, but nobody is refused because of it.
    attempt(breaker, False, 0)
    assert breaker.state(0) is CLOSED
    fail(breaker, 0)
    assert breaker.state(0) is OPEN


def test_the_rate_rule_is_held_back_as_long_as_half_the_pool_is_out() -> None:
    breaker = Breaker(POLICY)
    for _ in range(20):
        fail(breaker, 0, by_rate=False)
        attempt(breaker, False, 0)
    assert breaker.state(0) is CLOSED
    fail(breaker, 0, by_rate=True)
    assert breaker.state(0) is OPEN
    assert breaker.ejected_by_rate


def test_failures_in_a_row_may_eject_all() -> None:
    breaker = Breaker(POLICY)
    fail(breaker, 0, 5, by_rate=False)
    assert breaker.state(0) is OPEN
    assert not breaker.ejected_by_rate


def test_what_the_rate_rule_ejected_stays_its_own_until_it_is_back() -> None:
    breaker = Breaker(BreakerPolicy(consecutive_failures=100, min_requests=1))
    # Opened, opened again by a probe, half closed, closed, opened; and then a health probe
    # finds it dead, which is no matter of rates.
    found = []
    for failed, now in [(True, 0), (True, 5), (False, 15), (False, 15), (True, 15)]:
        attempt(breaker, failed, now)
        found.append(breaker.ejected_by_rate)
    breaker.trip(30, half)
    assert [*found, breaker.ejected_by_rate] == [True, True, True, False, True, False]


@pytest.mark.parametrize(("later", "state"), [(26.9, OPEN), (27, OPEN), (29.9, OPEN), (30, CLOSED)])
def test_the_window_forgets(later: float, state: BreakerState) -> None:
    policy = BreakerPolicy(consecutive_failures=100, min_requests=10, failure_rate=1.0)
    breaker = Breaker(policy)
    fail(breaker, 0, 9)
    fail(breaker, later)
    assert breaker.state(later) is state


@pytest.mark.parametrize(("good", "bad", "state"), [(9, 1, CLOSED), (6, 4, CLOSED), (5, 5, OPEN)])
def test_the_window_begins_empty_after_closing(good: int, bad: int, state: BreakerState) -> None:
    breaker = Breaker(
        BreakerPolicy(consecutive_failures=100, min_requests=10, open_time=1, successes=1)
    )
    fail(breaker, 0, 10)
    assert breaker.state(0) is OPEN
    attempt(breaker, False, 1)
    for _ in range(good):
        attempt(breaker, False, 1)
    fail(breaker, 1, bad)
    assert breaker.state(1) is state


@pytest.mark.parametrize(("first", "cap"), [(30.0, 10.0), (20.0, 10.0), (10.0, 10.0)])
def test_an_open_time_beyond_the_cap_is_the_cap(first: float, cap: float) -> None:
    breaker, now = Breaker(BreakerPolicy(open_time=first, max_open_time=cap)), 0.0
    for _ in range(3):
        breaker.trip(now, half)
        now += cap
        assert breaker.retry_at(now - 0.01) == now


def test_the_window_slides_a_tenth_at_a_time() -> None:
    policy = BreakerPolicy(consecutive_failures=10**6, min_requests=10, failure_rate=1.0)
    breaker = Breaker(policy)
    # One failure every 3 s and a bit: never more than ten within the window, but ten.
    for number in range(9):
        fail(breaker, number * 3 + 1)
    assert breaker.state(27) is CLOSED
    fail(breaker, 28)
    assert breaker.state(28) is OPEN
    # One every 3.4 s: nine at most.
    breaker = Breaker(policy)
    for number in range(200):
        fail(breaker, number * 3.4)
    assert breaker.opens == 0


# The probe...


def test_of_a_thousand_callers_at_the_instant_of_half_open_one_is_let_through() -> None:
    breaker = tripped()
    permits = [breaker.enter(5.0) for _ in range(1000)]
    assert permits.count(PROBE) == 1
    assert permits.count(None) == 999
    assert breaker.rejected == 999
    # It is cancelled, and again a thousand come; then it is good, and so on.
    for failed, state in [(None, HALF_OPEN), (False, HALF_OPEN), (False, CLOSED)]:
        breaker.leave(PROBE, failed, 6.0, half)
        assert breaker.state(6.0) is state
        if state is HALF_OPEN:
            assert [breaker.enter(6.0) for _ in range(1000)].count(PROBE) == 1
    assert {breaker.enter(6.0) for _ in range(1000)} == {NORMAL}


def test_a_bad_probe_lets_none_of_a_thousand_through() -> None:
    breaker = tripped()
    assert breaker.enter(5.0) is PROBE
    breaker.leave(PROBE, True, 5.0, half)
    assert {breaker.enter(5.0) for _ in range(1000)} == {None}


def test_attempts_from_before_it_opened_change_nothing() -> None:
    breaker = Breaker(POLICY)
    assert {breaker.enter(0) for _ in range(40)} == {NORMAL}
    for _ in range(5):
        breaker.leave(NORMAL, True, 1, half)
    # While it is open...
    for failed in (False, True, None):
        for _ in range(5):
            breaker.leave(NORMAL, failed, 2, half, retry_after=100)
    assert (breaker.state(2), breaker.retry_at(2), breaker.opens) == (OPEN, 6, 1)
    # While it is half open, a probe under way or not...
    for token in (False, True):
        if token:
            assert breaker.enter(6) is PROBE
        for failed in (False, True, None):
            for _ in range(2):
                breaker.leave(NORMAL, failed, 6, half, retry_after=100)
        assert breaker.state(6) is HALF_OPEN
        assert breaker.probe_due(6) is not token
    breaker.leave(PROBE, False, 7, half)
    assert breaker.state(7) is HALF_OPEN
    attempt(breaker, False, 7)
    # And after it has closed, if it is told when they began.
    for _ in range(5):
        breaker.leave(NORMAL, True, 8, half, started=0)
    assert breaker.state(8) is CLOSED
    for _ in range(5):
        breaker.leave(NORMAL, True, 8, half, started=7)
    assert breaker.state(8) is OPEN


@pytest.mark.parametrize("failed", [True, False, None])
def test_a_probe_that_outlives_its_half_open_state_only_gives_the_token_back(
    failed: bool | None,
) -> None:
    breaker = tripped()
    assert breaker.enter(5) is PROBE
    breaker.trip(6, half)
    assert (breaker.state(6), breaker.opens) == (OPEN, 2)
    # It has cooled, but there is still the old probe, and never a second one.
    assert breaker.state(16) is HALF_OPEN
    assert not breaker.available(16)
    assert breaker.enter(16) is None
    breaker.leave(PROBE, failed, 17, half)
    assert (breaker.state(17), breaker.opens) == (HALF_OPEN, 2)
    # Had it counted, one success would do.
    attempt(breaker, False, 17)
    assert breaker.state(17) is HALF_OPEN
    attempt(breaker, False, 17)
    assert breaker.state(17) is CLOSED


def test_when_to_come_back() -> None:
    breaker = Breaker(POLICY)
    assert breaker.retry_at(0) is None
    fail(breaker, 0, 5)
    assert (breaker.retry_at(0), breaker.retry_at(4.9), breaker.retry_at(5)) == (5, 5, None)
    assert breaker.enter(5) is PROBE
    assert breaker.retry_at(5.5) == 6.5
    # A health probe opens it for ten seconds while that probe is under way.
    breaker.trip(6, half)
    assert breaker.retry_at(7) == 16
    assert breaker.retry_at(15.5) == 16.5
    breaker.leave(PROBE, None, 16, half)
    assert breaker.retry_at(16) is None


# The open time...


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 9))
def test_jitter_is_a_fifth_either_way_and_applied_to_the_cap(chance: float, opens: int) -> None:
    breaker, now = Breaker(POLICY), 0.0
    for _ in range(opens):
        breaker.trip(now, lambda: chance)
        until = breaker.retry_at(now)
        assert until is not None
        waited, now = until - now, until
    longest = min(15.0, 5.0 * 2 ** (opens - 1))
    assert 0.8 * longest - 1e-9 <= waited <= 1.2 * longest + 1e-9
    assert waited == pytest.approx(longest * (0.8 + 0.4 * chance))


@pytest.mark.parametrize(
    ("asked", "waits"), [(None, 5), (0, 5), (4.9, 5), (60, 60), (300, 300), (86400, 300)]
)
def test_retry_after_extends_the_open_time(asked: float | None, waits: float) -> None:
    breaker = Breaker(POLICY)
    fail(breaker, 0, 4)
    fail(breaker, 1, retry_after=asked)
    assert breaker.retry_at(1) == 1 + waits
    # And that of a failed probe.
    fail(breaker, 1 + waits, retry_after=asked)
    assert breaker.retry_at(1 + waits) == 1 + waits + max(waits, 10)
    assert max(waits, 10) <= LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    ("healthy", "waits"),
    [(0, 15), (29.9, 15), (30, 10), (59.9, 10), (60, 5), (90, 5), (100_000, 5)],
)
def test_the_open_time_is_forgiven_one_doubling_per_healthy_half_minute(
    healthy: float, waits: float
) -> None:
    policy = BreakerPolicy(successes=1)
    breaker, now = Breaker(policy), 0.0
    for _ in range(2):  # 5 s, then 10 s
        breaker.trip(now, half)
        now = breaker.retry_at(now) or math.nan
    attempt(breaker, False, now)
    assert breaker.state(now) is CLOSED
    now += healthy
    breaker.trip(now, half)
    assert breaker.retry_at(now) == pytest.approx(now + waits)


def test_a_day_down_is_forgiven_as_soon_as_a_minute() -> None:
    policy = BreakerPolicy(successes=1)
    breaker, now = Breaker(policy), 0.0
    while now < 86400:
        breaker.trip(now, half)
        now = breaker.retry_at(now) or math.nan
    attempt(breaker, False, now)
    now += 3 * HEALTHY
    breaker.trip(now, half)
    assert breaker.retry_at(now) == now + 5


def test_a_primary_is_back_within_half_a_minute_of_its_recovery() -> None:
    # The worst there is: at the cap, the longest jitter, recovered just after a probe failed.
    breaker, now, recovered = tripped(), 5.0, 0.0
    for _ in range(5):
        assert breaker.enter(now) is PROBE
        breaker.leave(PROBE, True, now, lambda: 1 - 2**-53)
        recovered, now = now, breaker.retry_at(now) or math.nan
    for _ in range(2):
        assert breaker.enter(now) is PROBE
        now += 1.0  # each probe takes a second
        breaker.leave(PROBE, False, now, half)
    now += POLICY.slow_start
    assert breaker.factor(now) == 1.0
    assert now - recovered <= 30.0 + 1e-6


# The slow start...


def test_slow_start_rises_from_a_tenth_to_the_whole() -> None:
    breaker = closed_again(at=5.0)
    shares = {5: 0.1, 5.5: 0.1, 6: 0.1, 7: 0.2, 10: 0.5, 14: 0.9, 15: 1, 1000: 1}
    assert {now: breaker.factor(now) for now in shares} == pytest.approx(shares)


def test_nothing_starts_slowly_at_process_start_or_if_it_is_off() -> None:
    assert Breaker(POLICY).factor(0) == 1
    breaker = closed_again(5.0, BreakerPolicy(slow_start=0))
    assert [breaker.factor(now) for now in (4.9, 5, 6)] == [1, 1, 1]
    breaker = closed_again(5.0)
    assert breaker.factor(5) == COLDEST
    breaker.policy = BreakerPolicy(enabled=False)
    assert breaker.factor(5) == 1


@pytest.mark.parametrize(
    ("good", "bad", "steady"), [(0, 0, True), (9, 1, True), (8, 1, False), (0, 1, False)]
)
def test_steady_is_what_fails_a_tenth_of_the_time_at_most(
    good: int, bad: int, steady: bool
) -> None:
    breaker = Breaker(POLICY)
    for _ in range(good):
        attempt(breaker, False, 0)
    fail(breaker, 0, bad)
    assert breaker.steady(0) is steady
    assert breaker.steady(30) is True


def test_what_is_not_closed_is_not_steady() -> None:
    breaker = tripped()
    assert [breaker.steady(now) for now in (0, 5)] == [False, False]
    assert closed_again(5).steady(5)


# The policy...


def test_a_reload_keeps_the_state_and_brings_new_rules() -> None:
    breaker = Breaker(POLICY)
    fail(breaker, 0, 3)
    breaker.policy = BreakerPolicy(consecutive_failures=4, open_time=2, successes=1)
    assert breaker.policy.consecutive_failures == 4
    fail(breaker, 0)
    assert (breaker.state(0), breaker.retry_at(0)) == (OPEN, 2)
    breaker.policy = POLICY
    assert (breaker.state(0), breaker.retry_at(0), breaker.opens) == (OPEN, 2, 1)
    attempt(breaker, False, 2)
    assert breaker.enter(2) is PROBE
    breaker.policy = BreakerPolicy(successes=3)
    breaker.leave(PROBE, False, 2, half)
    assert breaker.state(2) is HALF_OPEN
    # Two are good, and from now on one would have been enough.
    breaker.policy = BreakerPolicy(successes=1)
    attempt(breaker, False, 2)
    assert breaker.state(2) is CLOSED


@pytest.mark.parametrize(("window", "state"), [(30, OPEN), (60, CLOSED)])
def test_a_reload_keeps_the_window_if_it_is_the_same(window: float, state: BreakerState) -> None:
    policy = BreakerPolicy(consecutive_failures=100)
    breaker = Breaker(policy)
    fail(breaker, 0, 19)
    breaker.policy = BreakerPolicy(consecutive_failures=50, window=window)
    fail(breaker, 0)
    assert breaker.state(0) is state


def test_switched_off_it_lets_all_pass_and_counts_nothing() -> None:
    off = BreakerPolicy(enabled=False)
    breaker = Breaker(off)
    fail(breaker, 0, 100)
    breaker.trip(0, half)
    assert (breaker.state(0), breaker.opens, breaker.retry_at(0)) == (CLOSED, 0, None)
    # Nothing of it counts once it is on.
    breaker.policy = POLICY
    fail(breaker, 0, 4)
    assert breaker.state(0) is CLOSED


def test_switched_off_and_on_it_is_where_it_was() -> None:
    off = BreakerPolicy(enabled=False)
    breaker = tripped()
    assert breaker.enter(5) is PROBE
    breaker.policy = off
    assert (breaker.state(5), breaker.available(5), breaker.probe_due(5)) == (CLOSED, True, False)
    assert breaker.enter(5) is NORMAL
    assert not breaker.ejected_by_rate
    breaker.leave(PROBE, True, 5, half)
    breaker.leave(NORMAL, False, 5, half)
    breaker.policy = POLICY
    assert (breaker.state(5), breaker.probe_due(5), breaker.opens) == (HALF_OPEN, True, 1)


@pytest.mark.parametrize(
    "table",
    [
        {"consecutive_failures": 0},
        {"failure_rate": 0.0},
        {"failure_rate": 1.1},
        {"min_requests": 0},
        {"window": 0.0},
        {"open_time": 0.0},
        {"max_open_time": 86400.0},
        {"successes": 0},
        {"slow_start": -1.0},
        {"cooldown": 5.0},
    ],
)
def test_the_policy_refuses_what_makes_no_sense(table: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, BreakerPolicy)


def test_repr_shows_the_state() -> None:
    breaker = Breaker(POLICY)
    fail(breaker, 0, 2)
    assert repr(breaker) == "<Breaker closed, 2 failed, 0 opens>"
    fail(breaker, 0, 3)
    assert breaker.enter(5) is PROBE
    assert repr(breaker) == "<Breaker half_open, 0 failed, 1 opens, probing>"


# Without another deployment...


def alone(breaker: Breaker, failed: bool | None, now: float, **more: Any) -> Permit | None:
    permit = breaker.enter(now, alone=True)
    if permit is not None:
        breaker.leave(permit, failed, now, half, alone=True, **more)
    return permit


def test_one_that_fails_a_third_never_opens_where_there_is_no_other() -> None:
    rng, breaker = random.Random(3).random, Breaker(POLICY)
    for number in range(20_000):
        assert alone(breaker, rng() < 1 / 3 and number > 20, number / 50) is NORMAL
    assert breaker.opens == 0
    # Where there is one it does.
    for number in range(1000):
        if breaker.enter(400 + number / 50) is NORMAL:
            breaker.leave(NORMAL, rng() < 1 / 3, 400 + number / 50, half)
    assert breaker.opens > 0


def test_the_rate_opens_it_late_and_little_failure_closes_it_again() -> None:
    breaker = Breaker(BreakerPolicy(consecutive_failures=1000))
    for number in range(20):
        assert alone(breaker, number % 10 > 0, 0) is NORMAL
    # The 18th failure of 20.
    assert breaker.state(0) is OPEN
    assert breaker.enter(1) is None
    # As soon as a tenth of them succeed all pass, and yet it is open until three in four do.
    found = []
    while breaker.state(1) is OPEN:
        found.append(alone(breaker, False, 1))
    assert set(found[3:]) == {THROTTLED}
    assert 20 <= len(found) <= 30
    assert breaker.state(1) is CLOSED
    assert breaker.factor(2) == pytest.approx(0.1)


def test_one_that_is_down_is_sent_few_and_all_again_as_soon_as_it_is_well() -> None:
    breaker, sent, refused = Breaker(POLICY), 0, 0
    for number in range(6000):
        found = alone(breaker, True, number / 100)
        sent += found is not None
        refused += found is None
    assert breaker.rejected == refused
    assert 100 <= sent <= 5 + 2 * 60
    permits = [alone(breaker, False, 60 + number / 100) for number in range(300)]
    assert None not in permits[150:]


def test_while_a_probe_is_under_way_few_pass() -> None:
    breaker = tripped()
    assert [breaker.enter(5, alone=True) for _ in range(10)] == [PROBE, *[None] * 9]
    assert [breaker.enter(6, alone=True) for _ in range(10)] == [THROTTLED, *[None] * 9]
    # The probe fails: it is open for ten more seconds to those that have a choice.
    breaker.leave(PROBE, True, 6, half)
    assert breaker.retry_at(6) == 16
    assert breaker.retry_at(6, alone=True) == pytest.approx(11)
    breaker.leave(THROTTLED, False, 6.5, half)
    assert breaker.available(7, alone=True)
    assert not breaker.available(7)


def test_others_may_close_it_while_a_probe_is_under_way() -> None:
    breaker = Breaker(BreakerPolicy(consecutive_failures=3, failure_rate=1.0))
    for failed in (False, False, False, True, True, True):
        attempt(breaker, failed, 0)
    assert breaker.enter(5) is PROBE
    while not breaker.closed:
        assert alone(breaker, False, 5) is THROTTLED
    # What becomes of the probe is no matter any more.
    breaker.leave(PROBE, True, 6, half)
    assert breaker.state(6) is CLOSED
    breaker.trip(6, half)
    assert breaker.enter(20) is PROBE


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["enter", "leave", "trip", "invite", "wait", "off", "on"]),
            st.sampled_from([True, True, False, None]),
            st.booleans(),
            st.integers(0, 9),
        ),
        max_size=200,
    )
)
def test_whatever_happens_all_permits_come_back(
    what: list[tuple[str, bool | None, bool, int]],
) -> None:
    breaker, now, out = Breaker(BreakerPolicy(consecutive_failures=2)), 0.0, list[Permit]()
    for action, failed, is_alone, number in what:
        match action:
            case "enter":
                before = breaker.available(now, alone=is_alone)
                permit = breaker.enter(now, alone=is_alone)
                assert (permit is not None) is before
                if permit is not None:
                    out.append(permit)
                else:
                    back = breaker.retry_at(now, alone=is_alone)
                    assert back is not None
                    assert back > now
            case "leave" if out:
                permit = out.pop(number % len(out))
                breaker.leave(permit, failed, now, half, alone=is_alone)
            case "trip":
                breaker.trip(now, half)
            case "invite":
                breaker.invite(now)
            case "wait":
                now += number / 3
            case "off" | "on":
                breaker.policy = BreakerPolicy(consecutive_failures=2, enabled=action == "on")
        assert out.count(PROBE) <= 1
        if breaker._throttle is not None:
            held = [permit for permit in out if permit is not NORMAL]
            assert breaker._throttle.under_way == len(held)
            assert 0.0 <= breaker._throttle.good <= 1.0


# Anything, in any order, against a model that remembers everything that ever happened...

POLICIES: Final = [
    BreakerPolicy(consecutive_failures=3, min_requests=4, window=10, open_time=2, max_open_time=7),
    BreakerPolicy(consecutive_failures=2, min_requests=4, window=10, successes=1, slow_start=0),
    BreakerPolicy(consecutive_failures=3, min_requests=2, failure_rate=0.75, window=20),
    BreakerPolicy(consecutive_failures=3, min_requests=4, window=10, enabled=False),
]
CHANCE = st.sampled_from([0.0, 0.5, 1 - 2**-53])


class Anything(RuleBasedStateMachine):
    """Drives a breaker; the model keeps lists of what happened and reads the rules from them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.policy = POLICIES[0]
        self.breaker = Breaker(self.policy)
        # Permits that are out: which, when, and in which open period.
        self.out: list[tuple[Permit, float, int]] = []
        # What counted since it last closed: when, and whether it failed.
        self.seen: list[tuple[float, bool]] = []
        self.streak: list[bool] = []
        self.opens = 0
        self.open = False
        self.until = 0.0
        self.by_rate = False
        self.closings: list[float] = []
        self.good_probes = 0
        self.level = 0
        self.refused = 0

    # What the model makes of it...

    def model_state(self) -> BreakerState:
        if not self.open or not self.policy.enabled:
            return CLOSED
        probing_now = any(
            permit is PROBE and period == self.opens for permit, _, period in self.out
        )
        asked = self.good_probes or probing_now
        return HALF_OPEN if asked or self.now >= self.until else OPEN

    def model_opens(self, chance: float, asked: float, by_rate: bool) -> None:
        policy = self.policy
        if not self.open and self.level:
            self.level = max(0, self.level - int((self.now - self.closings[-1]) // 30))
        times = [policy.open_time * 2**doublings for doublings in range(20)]
        below = [time for time in times if time < policy.max_open_time]
        # Once the cap is reached there is nothing to count.
        self.level = max(self.level, min(self.level + 1, len(below) + 1))
        time = min(times[self.level - 1], policy.max_open_time)
        self.until = self.now + max(time * (0.8 + 0.4 * chance), min(asked, 300))
        self.open, self.by_rate = True, by_rate
        self.opens += 1
        self.good_probes = 0
        self.seen, self.streak = [], []

    def model_rate_is_high(self) -> bool:
        width = self.policy.window / 10
        recent = [
            failed for at, failed in self.seen if int(self.now / width) - int(at / width) < 10
        ]
        if len(recent) < self.policy.min_requests:
            return False
        return sum(recent) / len(recent) >= self.policy.failure_rate

    # What happens...

    @rule(seconds=st.sampled_from([0.0, 0.25, 1.0, 2.0, 5.0, 9.5, 31.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(times=st.sampled_from([1, 1, 3, 50]))
    def enter(self, times: int) -> None:
        for _ in range(times):
            state, held = self.model_state(), any(permit is PROBE for permit, *_ in self.out)
            permit = self.breaker.enter(self.now)
            if state is CLOSED:
                assert permit is NORMAL
            elif state is HALF_OPEN and not held:
                assert permit is PROBE
            else:
                assert permit is None
                self.refused += 1
            if permit is not None:
                self.out.append((permit, self.now, self.opens))

    @precondition(lambda self: self.out)
    @rule(
        data=st.data(),
        failed=st.sampled_from([True, True, False, None]),
        chance=CHANCE,
        asked=st.sampled_from([None, None, 20.0, 5000.0]),
        by_rate=st.booleans(),
        knows_start=st.booleans(),
    )
    def leave(
        self,
        data: st.DataObject,
        failed: bool | None,
        chance: float,
        asked: float | None,
        by_rate: bool,
        knows_start: bool,
    ) -> None:
        permit, began, period = self.out[data.draw(st.integers(0, len(self.out) - 1))]
        state = self.model_state()
        self.out.remove((permit, began, period))
        self.breaker.leave(
            permit,
            failed,
            self.now,
            lambda: chance,
            retry_after=asked,
            by_rate=by_rate,
            started=began if knows_start else None,
        )
        if failed is None or not self.policy.enabled:
            return
        if permit is PROBE:
            if period == self.opens and failed:
                self.model_opens(chance, asked or 0, self.by_rate)
            elif period == self.opens:
                self.good_probes += 1
                if self.good_probes >= self.policy.successes:
                    self.open = False
                    self.closings.append(self.now)
            return
        old = knows_start and bool(self.closings) and began < self.closings[-1]
        if state is not CLOSED or (failed and old):
            return
        self.seen.append((self.now, failed))
        self.streak.append(failed)
        row = self.policy.consecutive_failures
        if failed and len(self.streak) >= row and all(self.streak[-row:]):
            self.model_opens(chance, asked or 0, by_rate=False)
        elif failed and by_rate and self.model_rate_is_high():
            self.model_opens(chance, asked or 0, by_rate=True)

    @rule(chance=CHANCE)
    def trip(self, chance: float) -> None:
        state = self.model_state()
        self.breaker.trip(self.now, lambda: chance)
        if state is not OPEN and self.policy.enabled:
            self.model_opens(chance, 0, by_rate=False)

    @rule()
    def invite(self) -> None:
        self.breaker.invite(self.now)
        self.until = min(self.until, self.now)

    @rule(policy=st.sampled_from(POLICIES))
    def reload(self, policy: BreakerPolicy) -> None:
        if policy.window != self.policy.window:
            self.seen = []
        self.policy = self.breaker.policy = policy

    # What holds at any time...

    @invariant()
    def agrees_with_the_model(self) -> None:
        now, breaker = self.now, self.breaker
        state, held = self.model_state(), [permit for permit, *_ in self.out].count(PROBE)
        assert held <= 1
        assert breaker.state(now) is state
        assert breaker.available(now) is (state is CLOSED or (state is HALF_OPEN and not held))
        assert breaker.probe_due(now) is (state is HALF_OPEN and not held)
        back = breaker.retry_at(now)
        assert (back is None) is breaker.available(now)
        if state is OPEN:
            assert back == (max(self.until, now + 1) if held else self.until)
        elif back is not None:
            assert back == now + 1
        assert breaker.opens == self.opens
        assert breaker.rejected == self.refused
        assert breaker.ejected_by_rate is (state is not CLOSED and self.by_rate)

    @invariant()
    def warms_up(self) -> None:
        factor, slow_start = self.breaker.factor(self.now), self.policy.slow_start
        if not self.closings or not slow_start or not self.policy.enabled:
            assert factor == 1
        else:
            assert factor == max(0.1, min(1, (self.now - self.closings[-1]) / slow_start))


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=rounds(30, 300), stateful_step_count=50)


def test_an_outage_costs_few_probes() -> None:
    """An hour down, a hundred callers a second: a probe now and then, and back at once."""
    rng, breaker = random.Random(1).random, Breaker(POLICY)
    served = probes = 0
    tick, down = 0.01, 3600.0
    for number in range(int((down + 60) / tick)):
        now = number * tick
        permit = breaker.enter(now)
        if permit is None:
            continue
        probes += permit is PROBE
        served += now >= down
        breaker.leave(permit, now < down, now, rng)
    # 15 s +- 20 % each, after the first two.
    assert 3600 / 18 <= probes <= 3600 / 12 + 4
    assert served >= (60 - 18) / tick
