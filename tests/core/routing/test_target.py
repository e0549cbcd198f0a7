from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.routing.blame.source import Source
from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.routing.breaker.states import BreakerState, Permit
from gateway.core.routing.causes import RULES, Cause, Skipped, SkipReason
from gateway.core.routing.health import PENALTY, WORST, Sample
from gateway.core.routing.hedging import MIN_SAMPLES
from gateway.core.routing.keys import Key
from gateway.core.routing.retry_budget import RetryBudgetPolicy
from gateway.core.routing.target import Target

POLICY = BreakerPolicy(consecutive_failures=3, open_time=5, successes=2, slow_start=10)


def half() -> float:
    """Make every jitter 1."""
    return 0.5


def target(policy: BreakerPolicy = POLICY, keys: int = 1) -> Target:
    known = [Key(f"id{number}", f"key {number}") for number in range(1, keys + 1)]
    return Target("p/m", known, policy, RetryBudgetPolicy())


def attempt(
    subject: Target,
    cause: Cause | None,
    now: float,
    *,
    latency: float | None = None,
    first_event: float | None = None,
    retry_after: float | None = None,
    counts: bool = True,
    source: Source | None = None,
) -> None:
    """Enter and leave at `now`."""
    permit = subject.enter(now)
    assert permit is not None
    held = None if source is None else subject.suspects.enter(source, now)
    sample = Sample(cause, latency, first_event)
    subject.leave(
        permit,
        sample,
        now,
        half,
        retry_after=retry_after,
        counts=counts,
        source=source,
        held=held,
    )


def source(caller: object = None, body: int = 0) -> Source:
    name = None if caller is None else f"caller {caller}"
    return Source(name, b"%d" % body)


def tripped(now: float = 0.0, policy: BreakerPolicy = POLICY) -> Target:
    subject = target(policy)
    for _ in range(policy.consecutive_failures):
        attempt(subject, Cause.SERVER_ERROR, now)
    return subject


@pytest.mark.parametrize(
    "cause", [Cause.REJECTED, Cause.CONTEXT_LENGTH, Cause.CONTENT_POLICY, Cause.TOTAL_TIMEOUT]
)
def test_what_a_caller_can_bring_about_neither_opens_nor_closes(cause: Cause) -> None:
    subject = target()
    for _ in range(100):
        attempt(subject, cause, 0)
    assert subject.breaker.closed
    # Nor does it part failures in a row.
    for _ in range(POLICY.consecutive_failures - 1):
        attempt(subject, Cause.SERVER_ERROR, 0)
        attempt(subject, cause, 0)
    assert subject.breaker.closed
    attempt(subject, Cause.SERVER_ERROR, 0)
    assert subject.breaker.opens == 1
    for _ in range(10):
        attempt(subject, cause, 5)
    assert subject.breaker.state(5) is BreakerState.HALF_OPEN
    for _ in range(POLICY.successes):
        attempt(subject, None, 5)
    assert subject.breaker.closed


# The time to the first event...


def test_a_good_attempt_shows_its_own_time() -> None:
    subject = target()
    attempt(subject, None, 1, latency=3.0, first_event=0.4)
    assert subject.first_event.value == 0.4
    assert subject.health.latency.value == 3.0


def test_a_failure_counts_as_slow_and_worse_each_time() -> None:
    subject = target(BreakerPolicy(consecutive_failures=100, min_requests=100))
    attempt(subject, None, 0, first_event=0.1)
    seen = []
    for _ in range(8):
        attempt(subject, Cause.CONNECT_FAILED, 1)
        seen.append(subject.first_event.expected(0.1, 1))
    assert seen == pytest.approx([PENALTY, 10, 20, 40, 80, 160, WORST, WORST])
    # It is no time that anything has taken.
    assert subject.first_event.value == 0.1


def test_a_slow_deployment_that_fails_is_worse_than_slow() -> None:
    subject = target()
    attempt(subject, None, 0, first_event=20.0)
    attempt(subject, Cause.SERVER_ERROR, 0)
    assert subject.first_event.expected(20.0, 0) == pytest.approx(40.0)


@pytest.mark.parametrize(
    "cause", [c for c, rule in RULES.items() if not rule.failure and c is not Cause.HEDGED]
)
def test_what_is_no_failure_is_no_penalty(cause: Cause) -> None:
    subject = target()
    attempt(subject, None, 0, first_event=0.1)
    # No longer than a caller is expected to wait.
    attempt(subject, cause, 1, latency=1.0)
    assert subject.first_event.value == subject.first_event.expected(0.1, 1) == 0.1


@pytest.mark.parametrize("cause", [Cause.TOTAL_TIMEOUT, Cause.ABANDONED])
def test_a_caller_who_waited_in_vain_shows_how_long_it_takes_at_least(cause: Cause) -> None:
    subject = target()
    attempt(subject, None, 0, first_event=0.1)
    attempt(subject, cause, 1, latency=50.0)
    assert subject.first_event.expected(0.1, 1) == pytest.approx(50.0)


def test_a_failure_is_forgotten_ten_seconds_later_or_when_the_breaker_closes() -> None:
    subject = tripped(now=0)
    assert subject.first_event.expected(0.1, 0) > 10.0
    attempt(subject, None, 5, first_event=0.1)
    assert subject.first_event.expected(0.1, 5) > 0.1
    attempt(subject, None, 5, first_event=0.1)
    assert subject.breaker.closed
    assert subject.first_event.expected(0.1, 5) == 0.1
    attempt(subject, Cause.SERVER_ERROR, 20)
    assert subject.first_event.expected(0.1, 29.9) > 0.1
    assert subject.first_event.expected(0.1, 30) == 0.1


# Callers that leave, or whose time is up, without a first event...


@pytest.mark.parametrize("cause", [Cause.TOTAL_TIMEOUT, Cause.ABANDONED])
def test_waits_in_vain_count_half_in_a_row(cause: Cause) -> None:
    subject = target(BreakerPolicy(consecutive_failures=3))
    attempt(subject, None, 0, first_event=0.1)
    for number in range(5):
        attempt(subject, cause, 1, latency=5.0, source=source(number % 2))
        # One that was not late is nothing.
        attempt(subject, cause, 1, latency=0.5, source=source(9))
    assert subject.breaker.closed
    # Reports count only what an answer, or none in our own time, has shown.
    assert subject.health.consecutive_failures == 0
    attempt(subject, cause, 1, latency=5.0, source=source(9))
    assert subject.breaker.state(1) is BreakerState.OPEN


@pytest.mark.parametrize("cause", [Cause.TOTAL_TIMEOUT, Cause.ABANDONED])
def test_waits_in_vain_open_a_breaker_by_their_rate(cause: Cause) -> None:
    subject = target(BreakerPolicy(consecutive_failures=1000, min_requests=20))
    for _ in range(10):
        attempt(subject, None, 0, first_event=0.1)
    for number in range(10):
        assert subject.breaker.closed
        attempt(subject, cause, 1, latency=5.0, source=source(number))
    assert subject.breaker.state(1) is BreakerState.OPEN


# Whose fault it is...


def test_the_failures_of_one_caller_keep_out_that_caller_alone() -> None:
    subject = target()
    for number in range(10):
        if subject.refusal(0, source("a", number)) is None:
            attempt(subject, Cause.SERVER_ERROR, 0, source=source("a", number))
    assert subject.breaker.opens == 0
    assert subject.health.attempts == POLICY.consecutive_failures
    refused = subject.refusal(0, source("a", 99))
    assert refused == Skipped(SkipReason.CIRCUIT_OPEN, 5)
    assert subject.refusal(0, source("b", 1)) is None
    # Strategies and reports see what that caller sees, until another one is served.
    assert (subject.available(0), subject.status(0).state, subject.status(0).opens) == (
        False,
        "open",
        1,
    )
    assert subject.probe_due(5)
    attempt(subject, None, 1, source=source("b", 1))
    assert (subject.available(1), subject.status(1).state) == (True, "closed")
    assert subject.refusal(1, source("a", 99)) == refused


def test_one_body_that_fails_keeps_out_no_other_of_its_caller() -> None:
    subject = target()
    for _ in range(POLICY.consecutive_failures):
        attempt(subject, Cause.SERVER_ERROR, 0, source=source("a", 1))
    assert subject.refusal(0, source("a", 1)) is not None
    assert subject.refusal(0, source("a", 2)) is None
    # If that one fails, too, it is the caller's.
    attempt(subject, Cause.SERVER_ERROR, 0, source=source("a", 2))
    assert subject.refusal(0, source("a", 3)) is not None
    assert subject.refusal(0, source("b", 3)) is None


def test_the_failure_of_a_second_caller_opens_it_for_all() -> None:
    subject = target()
    for _ in range(POLICY.consecutive_failures):
        attempt(subject, Cause.SERVER_ERROR, 0, source=source("a", 1))
    attempt(subject, Cause.SERVER_ERROR, 0, source=source("b", 1))
    assert subject.breaker.opens == 1


def test_a_good_answer_to_another_caller_parts_the_failures() -> None:
    subject = target(BreakerPolicy(consecutive_failures=3, min_requests=1000))
    for _ in range(10):
        attempt(subject, Cause.SERVER_ERROR, 0, source=source("a", 1))
        attempt(subject, Cause.SERVER_ERROR, 0, source=source("b", 1))
        attempt(subject, None, 0, source=source("c", 1))
    assert subject.breaker.opens == 0


@pytest.mark.parametrize("cause", [Cause.CONNECT_FAILED, Cause.FIRST_EVENT_TIMEOUT])
def test_what_no_request_brings_about_opens_it_whoever_meets_it(cause: Cause) -> None:
    subject = target()
    for _ in range(POLICY.consecutive_failures):
        attempt(subject, cause, 0, source=source("a", 1))
    assert subject.breaker.opens == 1


def test_the_failures_of_one_caller_count_as_one_beside_those() -> None:
    subject = target()
    for _ in range(2):
        attempt(subject, Cause.SERVER_ERROR, 0, source=source("a", 1))
    attempt(subject, Cause.CONNECT_FAILED, 0, source=source("b", 1))
    assert subject.breaker.opens == 0
    attempt(subject, Cause.CONNECT_FAILED, 0, source=source("b", 1))
    assert subject.breaker.opens == 1


def test_without_tokens_bodies_are_what_must_differ() -> None:
    subject = target()
    for _ in range(10):
        attempt(subject, Cause.SERVER_ERROR, 0, source=source(None, 1))
    assert subject.breaker.opens == 0
    assert subject.refusal(0, source(None, 1)) is not None
    assert subject.refusal(0, source(None, 2)) is None
    attempt(subject, Cause.SERVER_ERROR, 0, source=source(None, 2))
    assert subject.breaker.opens == 1


def test_the_rate_of_one_caller_is_its_own() -> None:
    subject = target(BreakerPolicy(consecutive_failures=1000, min_requests=10))
    for _ in range(30):
        if subject.refusal(0, source("a", 1)) is None:
            attempt(subject, Cause.SERVER_ERROR, 0, source=source("a", 1))
        attempt(subject, None, 0, source=source("b", 1))
    assert subject.breaker.closed
    for _ in range(40):
        attempt(subject, Cause.SERVER_ERROR, 0, source=source("a", 2))
    assert subject.refusal(0, source("a", 2)) is not None
    assert subject.breaker.closed
    # Without that caller, too, more than half of them fail.
    for _ in range(30):
        assert subject.breaker.closed
        attempt(subject, Cause.SERVER_ERROR, 0, source=source("b", 2))
    assert not subject.breaker.closed


def test_a_callers_own_breaker_is_probed_and_closes() -> None:
    subject = target()
    one = source("a", 1)
    for _ in range(POLICY.consecutive_failures):
        attempt(subject, Cause.SERVER_ERROR, 0, source=one)
    for now in (5, 6):
        held = subject.suspects.enter(one, now)
        assert held is not None
        assert held.permit is Permit.PROBE
        # One at a time.
        assert subject.refusal(now, one) is not None
        permit = subject.enter(now)
        assert permit is not None
        subject.leave(permit, Sample(None), now, half, source=one, held=held)
    assert subject.refusal(6, one) is None
    assert subject.suspects.kept_out is None
    assert subject.status(6).state == "closed"


def test_a_probe_of_a_callers_own_that_shows_nothing_gives_the_next_its_turn() -> None:
    subject = target()
    one = source("a", 1)
    for _ in range(POLICY.consecutive_failures):
        attempt(subject, Cause.SERVER_ERROR, 0, source=one)
    held = subject.suspects.enter(one, 5)
    permit = subject.enter(5)
    assert permit is not None
    subject.leave(permit, Sample(Cause.CLIENT_GONE), 5, half, source=one, held=held)
    assert subject.refusal(5, one) is None


def test_who_lost_a_race_is_at_least_as_slow_as_that() -> None:
    subject = target()
    attempt(subject, None, 0, first_event=0.1)
    attempt(subject, Cause.HEDGED, 5, latency=2.5)
    assert subject.first_event.value == 2.5
    # Cut sooner than it usually answers: that is no news.
    attempt(subject, Cause.HEDGED, 6, latency=1.0)
    assert subject.first_event.value == 2.5
    attempt(subject, Cause.HEDGED, 7)
    assert subject.first_event.value == 2.5
    assert subject.breaker.state(7) is BreakerState.CLOSED
    assert subject.health.consecutive_failures == 0


def test_who_lost_its_first_race_is_known_by_that() -> None:
    subject = target()
    attempt(subject, Cause.HEDGED, 5, latency=2.5)
    assert subject.first_event.value == 2.5


def test_what_we_were_too_slow_for_says_nothing() -> None:
    subject = target()
    attempt(subject, None, 0, first_event=0.1)
    for _ in range(10):
        attempt(subject, Cause.FIRST_EVENT_TIMEOUT, 1, counts=False)
        attempt(subject, Cause.HEDGED, 1, latency=9.0, counts=False)
    assert subject.first_event.value == 0.1
    assert subject.breaker.state(1) is BreakerState.CLOSED
    # It is reported all the same.
    assert subject.health.failures[Cause.FIRST_EVENT_TIMEOUT] == 10


def test_only_answers_make_up_what_is_usual() -> None:
    subject = target(BreakerPolicy(consecutive_failures=1000, min_requests=1000))
    for _ in range(MIN_SAMPLES - 1):
        attempt(subject, None, 0, first_event=0.5)
    for cause in (Cause.TRUNCATED, Cause.CLIENT_GONE, Cause.HEDGED):
        attempt(subject, cause, 0, latency=9.0, first_event=9.0)
    attempt(subject, None, 0, first_event=9.0, counts=False)
    assert subject.usual.p95 is None
    attempt(subject, None, 0, first_event=0.5)
    assert subject.usual.p95 == 0.5


# Who is let through...


def test_an_attempt_is_in_flight_until_it_leaves() -> None:
    subject = target()
    permits = [subject.enter(0) for _ in range(3)]
    assert repr(subject) == "<Target p/m, 3 in flight>"
    for left, permit in zip((2, 1, 0), permits, strict=True):
        assert permit is Permit.NORMAL
        subject.leave(permit, Sample(Cause.CLIENT_GONE), 1, half)
        assert subject.in_flight == left


def test_an_open_one_lets_nobody_in_and_one_probe_at_a_time_later() -> None:
    subject = tripped()
    assert (subject.available(0), subject.probe_due(0)) == (False, False)
    assert subject.enter(4.9) is None
    assert subject.in_flight == 0
    assert subject.free_at(1) == 5
    assert (subject.available(5), subject.probe_due(5)) == (False, True)
    assert subject.enter(5) is Permit.PROBE
    assert (subject.available(5), subject.probe_due(5)) == (False, False)
    assert subject.enter(5) is None
    assert subject.in_flight == 1
    subject.leave(Permit.PROBE, Sample(None), 6, half)
    assert (subject.available(6), subject.probe_due(6)) == (False, True)
    attempt(subject, None, 7)
    assert (subject.available(7), subject.probe_due(7)) == (True, False)


def test_a_probe_that_lost_a_race_gives_the_token_back() -> None:
    subject = tripped()
    assert subject.enter(5) is Permit.PROBE
    subject.leave(Permit.PROBE, Sample(Cause.HEDGED, latency=1.0), 6, half)
    assert subject.in_flight == 0
    assert subject.probe_due(6)
    assert subject.breaker.opens == 1


def test_a_probe_that_fails_opens_it_for_longer() -> None:
    subject = tripped()
    attempt(subject, Cause.SERVER_ERROR, 5)
    assert not subject.probe_due(14.9)
    assert subject.probe_due(15)


def test_the_factor_is_that_of_a_slow_start() -> None:
    subject = tripped()
    for now in (5, 6):
        attempt(subject, None, now)
    assert [subject.factor(now) for now in (6, 7, 11, 16, 60)] == [0.1, 0.1, 0.5, 1.0, 1.0]
    assert target().factor(0) == 1.0


def test_without_a_usable_key_it_is_neither_available_nor_to_be_probed() -> None:
    subject = tripped()
    (key,) = subject.keyring.keys
    subject.keyring.limit(key, 0, 20)
    assert (subject.available(6), subject.probe_due(6)) == (False, False)
    assert subject.free_at(6) == 20
    assert subject.probe_due(20)
    well = target()
    well.keyring.limit(well.keyring.keys[0], 0, 20)
    assert not well.available(19.9)
    assert well.free_at(3) == 20
    assert well.available(20)
    assert well.free_at(21) == 21


def test_one_usable_key_is_enough() -> None:
    subject = target(keys=2)
    subject.keyring.limit(subject.keyring.keys[0], 0, 20)
    assert subject.available(1)
    assert subject.free_at(1) == 1


# What is kept to save a look...


def test_clear_until_something_happens_and_somebody_has_looked() -> None:
    subject = target()
    (key,) = subject.keyring.keys
    seen = [subject.clear]

    def look(now: float) -> None:
        seen.append(subject.clear)
        seen.append(subject.available(now))
        seen.append(subject.clear)

    attempt(subject, None, 0)
    look(0)
    assert seen == [True, True, True, True]
    seen.clear()
    attempt(subject, Cause.REJECTED, 0)
    look(0)
    assert seen == [False, True, True]
    seen.clear()
    attempt(subject, Cause.RATE_LIMITED, 1)
    subject.keyring.limit(key, 1, 5)
    look(1)
    assert seen == [False, False, False]
    seen.clear()
    # The rest is over, but nobody has been served since.
    look(6)
    assert seen == [False, True, False]
    seen.clear()
    subject.keyring.accepted(key, 6)
    look(6)
    assert seen == [False, True, True]


def test_an_open_one_is_never_clear() -> None:
    subject = tripped()
    for now in (0, 4, 5, 100):
        assert not subject.available(now)
        assert not subject.clear


# What a provider asks for...


@pytest.mark.parametrize(
    ("cause", "until"),
    [
        (Cause.SERVER_ERROR, 60),
        # 429 is about a key; a stream that breaks asks for nothing.
        (Cause.CONNECTION_LOST, 5),
        (Cause.STREAM_ERROR, 5),
    ],
)
def test_retry_after_keeps_it_open_only_if_the_provider_is_down(cause: Cause, until: float) -> None:
    subject = target(BreakerPolicy(consecutive_failures=1, open_time=5))
    attempt(subject, cause, 0, retry_after=60)
    assert not subject.probe_due(until - 0.1)
    assert subject.probe_due(until)


def test_the_rate_rule_can_be_held_back() -> None:
    policy = BreakerPolicy(consecutive_failures=1000, min_requests=10)
    for by_rate, state in ((False, BreakerState.CLOSED), (True, BreakerState.OPEN)):
        subject = target(policy)
        for _ in range(10):
            permit = subject.enter(0)
            assert permit is not None
            subject.leave(permit, Sample(Cause.SERVER_ERROR), 0, half, by_rate=by_rate)
        assert subject.breaker.state(0) is state


def test_failures_of_what_began_before_it_closed_are_of_the_past() -> None:
    subject = tripped()
    for now in (5, 6):
        attempt(subject, None, now)
    for _ in range(5):
        attempt(subject, Cause.FIRST_EVENT_TIMEOUT, 30, latency=25.0)
    assert subject.breaker.state(30) is BreakerState.CLOSED
    for _ in range(3):
        attempt(subject, Cause.FIRST_EVENT_TIMEOUT, 30, latency=23.0)
    assert subject.breaker.state(30) is BreakerState.OPEN


# What strategies count on...

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "leave", "limit", "refuse", "accept"]),
        st.sampled_from([None, *Cause]),
        st.floats(0, 20),
    ),
    max_size=40,
)


@given(STEPS, st.booleans(), st.floats(0, 10))
def test_available_and_due_exclude_each_other_whatever_happens(
    steps: list[tuple[str, Cause | None, float]], enabled: bool, slow_start: float
) -> None:
    policy = BreakerPolicy(
        enabled=enabled, consecutive_failures=2, min_requests=2, slow_start=slow_start
    )
    subject, now = target(policy, keys=2), 0.0
    permits: list[Permit] = []
    for number, (what, cause, passed) in enumerate(steps):
        now += passed
        key = subject.keyring.keys[number % 2]
        if what == "enter":
            permit = subject.enter(now)
            permits += [permit] if permit is not None else []
        elif what == "leave" and permits:
            subject.leave(permits.pop(0), Sample(cause, passed, passed), now, half)
        elif what == "limit":
            subject.keyring.limit(key, now, passed)
        elif what == "refuse":
            subject.keyring.refuse(key, now, "401", everywhere=cause is None)
        elif what == "accept":
            subject.keyring.accepted(key, now)
        assert subject.in_flight == len(permits)
        available, due = subject.available(now), subject.probe_due(now)
        assert not (available and due)
        assert subject.clear <= available
        assert 0.1 <= subject.factor(now) <= 1.0
        assert subject.free_at(now) >= now
        if available or due:
            assert subject.keyring.pick(now) is not None
            assert subject.breaker.available(now)
            assert subject.free_at(now) == now
        else:
            assert subject.free_at(now) > now
