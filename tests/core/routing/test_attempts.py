from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.routing.attempts import Attempts, RetryPolicy
from gateway.core.routing.backoff import no_earlier
from gateway.core.routing.causes import RULES, Again, AttemptFailure, Cause, Stop, Try

POLICY = RetryPolicy(
    max_attempts=4, per_target=2, base=0.5, cap=8, max_retry_after=60, min_attempt_time=10
)
# A failure: target, cause, when it ended, what the provider asked for; then what follows.
Step = tuple[int, Cause, float, float | None, Try | Stop]

LOST, BUSY, SICK = Cause.CONNECTION_LOST, Cause.RATE_LIMITED, Cause.SERVER_ERROR
SILENT, AUTH = Cause.FIRST_EVENT_TIMEOUT, Cause.AUTH_FAILED


LONG, POLICY_REFUSAL = Cause.CONTEXT_LENGTH, Cause.CONTENT_POLICY


def half() -> float:
    return 0.5


def over(
    deadlines: Sequence[float],
    policy: RetryPolicy = POLICY,
    *,
    order: Sequence[int] | None = None,
    groups: Sequence[int] = (),
    switch_on: frozenset[Cause] = frozenset(),
) -> Attempts:
    """Return the attempts over targets with these `deadlines`."""
    numbers = range(len(deadlines)) if order is None else order
    return Attempts(
        policy, iter(numbers), deadlines.__getitem__, groups=groups, switch_on=switch_on
    )


def close_to(found: Try | Stop, expected: Try | Stop) -> bool:
    if isinstance(found, Try) and isinstance(expected, Try):
        return found.target == expected.target and found.wait == pytest.approx(expected.wait)
    return found is expected


# With half(), the backoff before retry n is half of 0.5 * 2^n, and Retry-After adds half of
# min(1, a tenth of it).
@pytest.mark.parametrize(
    ("policy", "deadlines", "steps"),
    [
        pytest.param(
            POLICY,
            [600],
            [
                (0, SICK, 1, None, Try(0, 0.25)),
                (0, SICK, 2, None, Try(0, 0.5)),
                (0, SICK, 3, None, Stop.EXHAUSTED),
            ],
            id="one target: backoff doubles, then its retries are spent",
        ),
        pytest.param(
            POLICY,
            [600, 600],
            [
                (0, SICK, 1, None, Try(1, 0)),
                (1, SICK, 2, None, Try(0, 0.25)),
                (0, SICK, 3, None, Try(1, 0.25)),
                (1, SICK, 4, None, Stop.EXHAUSTED),
            ],
            id="two targets: each once without a wait, then again, four attempts in all",
        ),
        pytest.param(
            POLICY,
            [600] * 6,
            [
                (0, LOST, 1, None, Try(1, 0)),
                (1, LOST, 1, None, Try(2, 0)),
                (2, LOST, 1, None, Try(3, 0)),
                (3, LOST, 1, None, Stop.EXHAUSTED),
            ],
            id="more targets than attempts",
        ),
        pytest.param(
            RetryPolicy(max_attempts=1),
            [600, 600],
            [(0, LOST, 1, None, Stop.EXHAUSTED)],
            id="a single attempt",
        ),
        pytest.param(
            RetryPolicy(max_attempts=9, per_target=0),
            [600, 600],
            [(0, LOST, 1, None, Try(1, 0)), (1, LOST, 1, None, Stop.EXHAUSTED)],
            id="no retries of a target",
        ),
        pytest.param(
            POLICY,
            [600, 600],
            [(0, AUTH, 1, None, Try(1, 0)), (1, AUTH, 2, None, Stop.EXHAUSTED)],
            id="a bad key is never tried again",
        ),
        pytest.param(
            POLICY,
            [600, 600],
            [
                (0, AUTH, 1, None, Try(1, 0)),
                (1, SICK, 2, None, Try(1, 0.25)),
                (1, SICK, 3, None, Try(1, 0.5)),
            ],
            id="where one has a bad key the other gets all retries",
        ),
        pytest.param(
            POLICY,
            [600, 600],
            [
                (0, SILENT, 60, None, Try(1, 0)),
                (1, SICK, 61, None, Try(1, 0.25)),
                (1, SICK, 62, None, Try(1, 0.5)),
                (1, SICK, 63, None, Stop.EXHAUSTED),
            ],
            id="the silent one is not tried again while another exists",
        ),
        pytest.param(
            POLICY,
            [600],
            [(0, SILENT, 60, None, Try(0, 0.25))],
            id="the silent one is tried again if it is the only one",
        ),
        pytest.param(
            POLICY,
            [600, 600],
            [(0, SILENT, 60, None, Try(1, 0)), (1, AUTH, 61, None, Try(0, 0.25))],
            id="the silent one is tried again if the other is out",
        ),
        pytest.param(
            POLICY,
            [600, 600],
            [(0, SILENT, 590, None, Stop.OUT_OF_TIME)],
            id="too little time for another who may be silent",
        ),
        pytest.param(
            POLICY,
            [600, 600],
            [(0, SILENT, 589.9, None, Try(1, 0))],
            id="just enough time for another who may be silent",
        ),
        pytest.param(
            POLICY,
            [600, 600],
            [(0, LOST, 599.9, None, Try(1, 0)), (1, LOST, 600, None, Stop.OUT_OF_TIME)],
            id="a quick failure may be followed by another attempt to the last",
        ),
        pytest.param(
            POLICY,
            [600],
            [(0, BUSY, 1, 4, Try(0, 4.2))],
            id="Retry-After is a floor",
        ),
        pytest.param(
            POLICY,
            [600],
            [(0, BUSY, 1, 0.1, Try(0, 0.25))],
            id="Retry-After below the backoff",
        ),
        pytest.param(
            POLICY,
            [600, 600],
            [
                (0, BUSY, 1, 30, Try(1, 0)),
                (1, SICK, 11, None, Try(0, 20.5)),
            ],
            id="Retry-After counts from when it was said",
        ),
        pytest.param(
            POLICY,
            [600],
            [(0, BUSY, 1, 60, Try(0, 60.5)), (0, BUSY, 100, 60.1, Stop.EXHAUSTED)],
            id="who asks for too long is left alone",
        ),
        pytest.param(
            POLICY,
            [20],
            [(0, BUSY, 1, 30, Stop.OUT_OF_TIME)],
            id="Retry-After beyond the deadline",
        ),
        pytest.param(
            POLICY,
            [20, 600],
            [
                (0, BUSY, 1, 30, Try(1, 0)),
                (1, SICK, 2, None, Try(1, 0.25)),
                (1, SICK, 25, None, Try(1, 0.5)),
            ],
            id="each target has its own deadline",
        ),
        pytest.param(
            POLICY,
            [math.inf],
            [(0, SILENT, 1e6, None, Try(0, 0.25))],
            id="no deadline",
        ),
        pytest.param(
            RetryPolicy(max_attempts=20, per_target=19, base=3, cap=4),
            [600],
            [(0, LOST, 0, None, Try(0, 1.5)), *[(0, LOST, 1, None, Try(0, 2.0))] * 3],
            id="the cap bounds the backoff",
        ),
    ],
)
def test_decisions(policy: RetryPolicy, deadlines: list[float], steps: list[Step]) -> None:
    attempts = over(deadlines, policy)
    assert attempts.first(0, half) == Try(0, 0)
    for target, cause, now, asked, expected in steps:
        found = attempts.after(AttemptFailure(target, cause, asked), now, half)
        assert close_to(found, expected), found


@pytest.mark.parametrize("cause", [c for c, rule in RULES.items() if rule.again is Again.NOWHERE])
def test_what_leads_nowhere_stops_whatever_is_left(cause: Cause) -> None:
    attempts = over([math.inf] * 3)
    attempts.first(0, half)
    expected = Stop.OUT_OF_TIME if cause is Cause.TOTAL_TIMEOUT else Stop.REJECTED
    assert attempts.after(AttemptFailure(0, cause), 1, half) is expected


def test_repr_shows_the_tries() -> None:
    attempts = over([600, 600])
    attempts.first(0, half)
    attempts.after(AttemptFailure(0, LOST), 1, half)
    assert repr(attempts) == "<Attempts {0: 1, 1: 1} of 4>"


# The order...


def test_the_order_is_kept_and_taken_only_as_far_as_needed() -> None:
    taken: list[int] = []

    def order() -> Iterator[int]:
        for number in (2, 0, 3, 1):
            taken.append(number)
            yield number

    attempts = Attempts(POLICY, order(), lambda _: math.inf)
    assert attempts.first(0, half) == Try(2)
    assert taken == [2]
    assert attempts.after(AttemptFailure(2, SICK), 1, half) == Try(0)
    assert taken == [2, 0]
    assert attempts.after(AttemptFailure(0, SICK), 1, half) == Try(3)
    assert taken == [2, 0, 3]


def test_no_target_and_no_time_end_before_they_begin() -> None:
    assert over([]).first(0, half) is Stop.EXHAUSTED
    assert over([5, 3]).first(5, half) is Stop.OUT_OF_TIME


def test_a_target_without_time_is_passed_over_and_kept_in_mind() -> None:
    # After a silent one ten seconds must be left, after a loud one any time will do.
    attempts = over([100, 65, 100])
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, SILENT), 60, half) == Try(2)
    assert attempts.after(AttemptFailure(2, LOST), 61, half) == Try(1)


def test_those_that_were_tried_least_come_first_when_it_goes_round_again() -> None:
    attempts = over([math.inf] * 3, RetryPolicy(max_attempts=9, per_target=2))
    step, targets = attempts.first(0, half), []
    while isinstance(step, Try):
        targets.append(step.target)
        step = attempts.after(AttemptFailure(step.target, LOST), 1, half)
    assert targets == [0, 1, 2] * 3
    assert step is Stop.EXHAUSTED


# Another key...


def test_another_key_is_tried_at_once_on_the_same_target() -> None:
    attempts = over([600, 600])
    attempts.first(0, half)
    # What the provider asked for counts for the key, not for the target.
    assert attempts.after(AttemptFailure(0, BUSY, 30, another_key=True), 1, half) == Try(0, 0)
    assert attempts.after(AttemptFailure(0, BUSY, 30), 3, half) == Try(1, 0)
    # Without another key the wait counts: until 3 + 30 and half a second more.
    assert attempts.after(AttemptFailure(1, LOST), 4, half) == Try(0, 29.5)
    assert attempts.after(AttemptFailure(0, LOST), 34, half) is Stop.EXHAUSTED


def test_a_third_key_is_tried_after_the_targets_that_were_not() -> None:
    attempts = over([600] * 3, RetryPolicy(max_attempts=9))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, AUTH, another_key=True), 1, half) == Try(0, 0)
    assert attempts.after(AttemptFailure(0, AUTH, another_key=True), 2, half) == Try(1, 0)
    # Each target has its second key at once.
    assert attempts.after(AttemptFailure(1, AUTH, another_key=True), 3, half) == Try(1, 0)
    assert attempts.after(AttemptFailure(1, AUTH, another_key=True), 4, half) == Try(2, 0)
    assert attempts.after(AttemptFailure(2, AUTH, another_key=True), 5, half) == Try(2, 0)
    # No target is left that was not asked: now any key will do, without a wait.
    assert attempts.after(AttemptFailure(2, AUTH, another_key=True), 6, half) == Try(2, 0)


def test_a_target_that_was_left_for_another_keeps_its_third_key() -> None:
    attempts = over([600] * 2, RetryPolicy(max_attempts=9))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, BUSY, 30, another_key=True), 1, half) == Try(0, 0)
    assert attempts.after(AttemptFailure(0, BUSY, 30, another_key=True), 2, half) == Try(1, 0)
    # What was asked for counts for the key that was used, not for the one that is left.
    assert attempts.after(AttemptFailure(1, AUTH), 3, half) == Try(0, 0.25)


# Probes...


def test_a_failed_probe_is_no_attempt() -> None:
    attempts = over([600] * 3, RetryPolicy(max_attempts=1))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, SICK, probe=True), 1, half) == Try(1, 0)
    assert attempts.after(AttemptFailure(1, SICK), 2, half) is Stop.EXHAUSTED


def test_a_probe_that_is_refused_is_an_answer() -> None:
    attempts = over([600] * 2)
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, Cause.REJECTED, probe=True), 1, half) is Stop.REJECTED


def test_another_key_is_no_retry_of_the_target() -> None:
    attempts = over([600], RetryPolicy(max_attempts=5, per_target=1))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, AUTH, another_key=True), 1, half) == Try(0, 0)
    assert attempts.after(AttemptFailure(0, SICK), 2, half) == Try(0, 0.25)
    assert attempts.after(AttemptFailure(0, SICK), 3, half) is Stop.EXHAUSTED


def test_another_key_is_an_attempt_like_others() -> None:
    attempts = over([600], RetryPolicy(max_attempts=2))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, AUTH, another_key=True), 1, half) == Try(0, 0)
    assert attempts.after(AttemptFailure(0, AUTH, another_key=True), 1, half) is Stop.EXHAUSTED


def test_another_key_needs_time_too() -> None:
    attempts = over([10, 600])
    attempts.first(0, half)
    failure = AttemptFailure(0, AUTH, another_key=True)
    assert attempts.after(failure, 10, half) is Stop.OUT_OF_TIME


# What was not let through...


def test_skipping_costs_no_attempt() -> None:
    attempts = over([600] * 9, RetryPolicy(max_attempts=2))
    step = attempts.first(0, half)
    for number in range(6):
        assert step == Try(number)
        step = attempts.skip(step, 0, half)
    assert attempts.after(AttemptFailure(6, LOST), 1, half) == Try(7)
    assert attempts.after(AttemptFailure(7, LOST), 1, half) is Stop.EXHAUSTED


def test_who_was_skipped_is_not_asked_again() -> None:
    attempts = over([600, 600], RetryPolicy(max_attempts=9))
    step = attempts.first(0, half)
    assert isinstance(step, Try)
    assert attempts.skip(step, 0, half) == Try(1)
    assert attempts.after(AttemptFailure(1, LOST), 1, half) == Try(1, 0.25)
    assert attempts.after(AttemptFailure(1, LOST), 1, half) == Try(1, 0.5)
    assert attempts.after(AttemptFailure(1, LOST), 1, half) is Stop.EXHAUSTED


def test_a_retry_may_be_skipped_and_then_all_may_be() -> None:
    attempts = over([600, 600])
    attempts.first(0, half)
    attempts.after(AttemptFailure(0, LOST), 1, half)
    step = attempts.after(AttemptFailure(1, LOST), 1, half)
    assert step == Try(0, 0.25)
    following = attempts.skip(step, 1, half)
    assert following == Try(1, 0.25)
    assert attempts.skip(following, 1, half) is Stop.EXHAUSTED


# Fallbacks...


def test_own_routes_come_first_then_fallbacks_then_all_again() -> None:
    policy = RetryPolicy(max_attempts=6, quick_retry=False)
    attempts = over([math.inf] * 3, policy, groups=(2, 1))
    step, steps = attempts.first(0, half), []
    while isinstance(step, Try):
        steps.append((step.target, step.wait))
        step = attempts.after(AttemptFailure(step.target, LOST), 1, half)
    assert steps == [(0, 0), (1, 0), (2, 0), (0, 0.25), (1, 0.25), (2, 0.25)]


@pytest.mark.parametrize("cause", [LONG, POLICY_REFUSAL])
def test_a_refused_request_goes_on_to_the_next_model(cause: Cause) -> None:
    attempts = over(
        [600] * 5,
        RetryPolicy(max_attempts=9),
        order=[1, 0, 3, 2, 4],
        groups=(2, 2, 1),
        switch_on=frozenset({cause}),
    )
    assert attempts.first(0, half) == Try(1)
    assert attempts.after(AttemptFailure(1, cause), 1, half) == Try(3)
    # Another failure of the fallback is nothing special...
    assert attempts.after(AttemptFailure(3, LOST), 2, half) == Try(2)
    # ...and its refusal leads on to the next one, never back.
    assert attempts.after(AttemptFailure(2, cause), 3, half) == Try(4)
    assert attempts.after(AttemptFailure(4, SICK), 4, half) == Try(4, 0.25)
    assert attempts.after(AttemptFailure(4, cause), 5, half) is Stop.EXHAUSTED


def test_a_refused_request_ends_where_no_other_model_is_asked() -> None:
    attempts = over([600] * 2, groups=(1, 1), switch_on=frozenset({LONG}))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, POLICY_REFUSAL), 1, half) is Stop.REJECTED


def test_a_refused_request_ends_where_there_is_no_other_model() -> None:
    attempts = over([600] * 2, groups=(2,), switch_on=frozenset({LONG}))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, LONG), 1, half) is Stop.EXHAUSTED


def test_a_switch_costs_attempts_and_time_like_any_other() -> None:
    one = over([600] * 2, RetryPolicy(max_attempts=1), groups=(1, 1), switch_on=frozenset({LONG}))
    one.first(0, half)
    assert one.after(AttemptFailure(0, LONG), 1, half) is Stop.EXHAUSTED
    late = over([600, 20], groups=(1, 1), switch_on=frozenset({LONG}))
    late.first(0, half)
    assert late.after(AttemptFailure(0, LONG), 20, half) is Stop.OUT_OF_TIME


# Side by side...


def test_a_hedge_goes_to_the_next_that_was_not_tried() -> None:
    attempts = over([600] * 3)
    attempts.first(0, half)
    assert attempts.beside([0], 1, half) == Try(1)
    assert attempts.beside([0, 1], 2, half) == Try(2)
    # Nobody is left who was not tried; that is no attempt.
    assert attempts.beside([0, 1, 2], 3, half) is None
    for number in (0, 1):
        attempts.failed(AttemptFailure(number, LOST), 4, half)
    assert attempts.after(AttemptFailure(2, LOST), 4, half) == Try(0, 0.25)
    assert attempts.after(AttemptFailure(0, LOST), 5, half) is Stop.EXHAUSTED


def test_a_hedge_is_never_sent_to_who_has_failed_or_runs() -> None:
    attempts = over([600] * 2, RetryPolicy(max_attempts=9))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, LOST), 1, half) == Try(1)
    for _ in range(5):
        assert attempts.beside([1], 2, half) is None
    # None of that has cost an attempt or a try.
    assert repr(attempts) == "<Attempts {0: 1, 1: 1} of 9>"
    assert attempts.after(AttemptFailure(1, LOST), 3, half) == Try(0, 0.25)


def test_a_single_target_has_no_hedge() -> None:
    attempts = over([600])
    attempts.first(0, half)
    assert attempts.beside([0], 1, half) is None
    assert attempts.after(AttemptFailure(0, LOST), 2, half) == Try(0, 0.25)


def test_hedges_count_as_attempts_and_need_time() -> None:
    attempts = over([600] * 3, RetryPolicy(max_attempts=2))
    attempts.first(0, half)
    assert attempts.beside([0], 1, half) == Try(1)
    assert attempts.beside([0, 1], 2, half) is None
    assert attempts.after(AttemptFailure(0, LOST), 3, half) is Stop.EXHAUSTED
    late = over([600, 5])
    late.first(0, half)
    assert late.beside([0], 5, half) is None


def test_a_hedge_that_was_not_begun_is_as_if_it_had_not_been_decided() -> None:
    attempts = over([600] * 2, RetryPolicy(max_attempts=2))
    attempts.first(0, half)
    step = attempts.beside([0], 1, half)
    assert step == Try(1)
    attempts.take_back(step)
    assert attempts.after(AttemptFailure(0, LOST), 2, half) == Try(1, 0)
    assert attempts.after(AttemptFailure(1, LOST), 3, half) is Stop.EXHAUSTED


def test_a_hedge_stays_in_the_group_of_what_runs() -> None:
    attempts = over([600] * 3, RetryPolicy(max_attempts=9, quick_retry=False), groups=(2, 1))
    attempts.first(0, half)
    assert attempts.beside([0], 1, half) == Try(1)
    assert attempts.beside([0, 1], 2, half) is None
    attempts.failed(AttemptFailure(1, LOST), 3, half)
    # And is not lost to who needs it.
    assert attempts.after(AttemptFailure(0, LOST), 3, half) == Try(2)
    assert attempts.beside([2], 4, half) is None


def test_a_fallback_is_hedged_by_its_like() -> None:
    attempts = over([600] * 3, groups=(1, 2))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, SILENT), 1, half) == Try(1)
    assert attempts.beside([1], 2, half) == Try(2)


def test_a_hedge_may_start_on_a_fallback() -> None:
    attempts = over([600] * 3, RetryPolicy(max_attempts=9), groups=(1, 2))
    attempts.first(0, half)
    assert attempts.beside([0], 1, half) is None
    assert attempts.beside([0], 1, half, fallbacks=True) == Try(1)
    assert attempts.beside([0, 1], 2, half, fallbacks=True) == Try(2)
    assert attempts.beside([0, 1, 2], 3, half, fallbacks=True) is None


# The quick retry before a model is left...

PASSING_ONES = [SICK, LOST, Cause.STREAM_ERROR]


@pytest.mark.parametrize("cause", PASSING_ONES)
def test_a_model_gets_one_quick_retry_before_its_fallbacks(cause: Cause) -> None:
    attempts = over([600] * 3, groups=(1, 2))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, cause), 1, half) == Try(0, 0.05)
    assert attempts.after(AttemptFailure(0, cause), 2, half) == Try(1)
    assert attempts.after(AttemptFailure(1, cause), 3, half) == Try(2)
    assert attempts.after(AttemptFailure(2, cause), 4, half) is Stop.EXHAUSTED


def test_the_last_route_of_a_model_gets_the_quick_retry() -> None:
    attempts = over([600] * 3, RetryPolicy(max_attempts=9), groups=(2, 1))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, SICK), 1, half) == Try(1)
    assert attempts.after(AttemptFailure(1, SICK), 2, half) == Try(1, 0.05)
    assert attempts.after(AttemptFailure(1, SICK), 3, half) == Try(2)


def test_each_model_on_the_way_gets_its_own() -> None:
    attempts = over([600] * 3, RetryPolicy(max_attempts=9), groups=(1, 1, 1))
    step, steps = attempts.first(0, half), []
    while isinstance(step, Try):
        steps.append((step.target, step.wait))
        step = attempts.after(AttemptFailure(step.target, LOST), 1, half)
    # The last model is not left for another: what follows are retries after a backoff.
    assert steps[:5] == [(0, 0), (0, 0.05), (1, 0), (1, 0.05), (2, 0)]
    assert all(wait >= 0.25 for _, wait in steps[5:])


@pytest.mark.parametrize("cause", [each for each in Cause if each not in PASSING_ONES])
def test_no_quick_retry_of_what_will_not_have_passed(cause: Cause) -> None:
    attempts = over([600] * 2, groups=(1, 1))
    attempts.first(0, half)
    found = attempts.after(AttemptFailure(0, cause), 1, half)
    if cause in (Cause.STALE_CONNECTION, Cause.STALE_CREDENTIAL):
        assert found == Try(0)
        found = attempts.after(AttemptFailure(0, cause), 1, half)
    assert found == Try(1) or not isinstance(found, Try)


@pytest.mark.parametrize(
    ("policy", "failure"),
    [
        pytest.param(RetryPolicy(quick_retry=False), AttemptFailure(0, SICK), id="switched off"),
        pytest.param(RetryPolicy(max_attempts=2), AttemptFailure(0, SICK), id="fallback's attempt"),
        pytest.param(RetryPolicy(per_target=0), AttemptFailure(0, SICK), id="no retries at all"),
        pytest.param(RetryPolicy(), AttemptFailure(0, SICK, 1), id="asked to wait"),
        pytest.param(RetryPolicy(), AttemptFailure(0, SICK, probe=True), id="only a probe"),
    ],
)
def test_no_quick_retry_where_the_fallback_is_better(
    policy: RetryPolicy, failure: AttemptFailure
) -> None:
    attempts = over([600] * 2, policy, groups=(1, 1))
    attempts.first(0, half)
    assert attempts.after(failure, 1, half) == Try(1)


def test_no_quick_retry_without_time_for_it() -> None:
    attempts = over([1.04, 600], groups=(1, 1))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, SICK), 1, half) == Try(1)


def test_a_quick_retry_that_is_not_let_through_leads_on() -> None:
    attempts = over([600] * 2, groups=(1, 1))
    attempts.first(0, half)
    step = attempts.after(AttemptFailure(0, SICK), 1, half)
    assert step == Try(0, 0.05)
    assert attempts.skip(step, 1, half) == Try(1)


# A connection that had been closed while idle...

STALE = Cause.STALE_CONNECTION


def test_a_closed_connection_is_replaced_at_once_and_counts() -> None:
    attempts = over([600] * 2, RetryPolicy(max_attempts=3))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, STALE), 0.1, half) == Try(0)
    # It was no retry: another route is still preferred, and the target keeps its retries.
    assert attempts.after(AttemptFailure(0, SICK), 1, half) == Try(1)
    assert attempts.after(AttemptFailure(1, SICK), 2, half) is Stop.EXHAUSTED


def test_a_single_attempt_is_not_sent_again() -> None:
    attempts = over([600] * 2, RetryPolicy(max_attempts=1))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, STALE), 0.1, half) is Stop.EXHAUSTED


def test_a_second_closed_connection_is_a_failure_like_others() -> None:
    attempts = over([600] * 2)
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, STALE), 0.1, half) == Try(0)
    assert attempts.after(AttemptFailure(0, STALE), 0.2, half) == Try(1)
    assert attempts.after(AttemptFailure(1, STALE), 0.3, half) == Try(1)


def test_a_refused_token_is_replaced_once_and_counts() -> None:
    attempts = over([600] * 2)
    attempts.first(0, half)
    renewed = Cause.STALE_CREDENTIAL
    assert attempts.after(AttemptFailure(0, renewed), 0.1, half) == Try(0)
    # A closed connection is another matter.
    assert attempts.after(AttemptFailure(0, STALE), 0.2, half) == Try(0)
    assert attempts.after(AttemptFailure(0, renewed), 0.3, half) == Try(1)
    assert attempts.after(AttemptFailure(1, SICK), 0.4, half) is Stop.EXHAUSTED


def test_a_probe_on_a_closed_connection_probes_again() -> None:
    attempts = over([600] * 2)
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, STALE, probe=True), 0.1, half) == Try(0)
    assert attempts.after(AttemptFailure(0, SICK, probe=True), 0.2, half) == Try(1)


def test_one_whose_time_is_up_leaves_the_rest_to_those_that_have_more() -> None:
    attempts = over([20, 600, 20, 600], RetryPolicy(max_attempts=9))
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, Cause.TOTAL_TIMEOUT), 20, half) == Try(1)
    assert attempts.after(AttemptFailure(1, SICK), 21, half) == Try(3)
    assert attempts.after(AttemptFailure(3, Cause.TOTAL_TIMEOUT), 600, half) is Stop.OUT_OF_TIME


def test_no_time_is_left_to_replace_a_closed_connection() -> None:
    attempts = over([5])
    attempts.first(0, half)
    assert attempts.after(AttemptFailure(0, STALE), 5, half) is Stop.OUT_OF_TIME


def test_what_fails_beside_another_is_remembered() -> None:
    attempts = over([600] * 4, RetryPolicy(max_attempts=20))
    attempts.first(0, half)
    for running in ([0], [0, 1], [0, 1, 2]):
        assert attempts.beside(running, 1, half) is not None
    attempts.failed(AttemptFailure(0, AUTH), 2, half)
    attempts.failed(AttemptFailure(1, SILENT), 2, half)
    attempts.failed(AttemptFailure(2, BUSY, 10), 2, half)
    # 0 is out, 1 was silent, 2 wants ten seconds and half of one.
    assert attempts.after(AttemptFailure(3, BUSY, 70), 2, half) == Try(2, 10.5)
    assert attempts.after(AttemptFailure(2, AUTH), 20, half) == Try(1, 0.25)


# What holds always...

SECONDS = st.floats(0, 100)
POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 8),
    per_target=st.integers(0, 4),
    base=st.floats(0, 5),
    cap=st.floats(0, 20),
    max_retry_after=SECONDS,
    min_attempt_time=st.floats(0, 30),
    quick_retry=st.booleans(),
)


class History:
    """What is known of a request's targets, kept by the test on its own account."""

    def __init__(self, policy: RetryPolicy, deadlines: list[float], groups: list[int]) -> None:
        self.policy, self.deadlines = policy, deadlines
        self.group = [at for at, size in enumerate(groups) for _ in range(size)]
        self.made = 0
        self.first_group = 0
        self.tries = [0] * len(deadlines)  # without those with another key
        self.out: set[int] = set()
        self.skipped: set[int] = set()
        self.silent: set[int] = set()
        self.stayed: set[int] = set()  # where a second key was tried
        # Where a closed connection or a refused token was replaced.
        self.renewed: set[tuple[int, Cause]] = set()
        self.not_before = [0.0] * len(deadlines)
        self.past = 0.0  # the deadline that was missed

    def may(self, number: int) -> bool:
        gone = self.out | self.skipped
        return (
            number not in gone
            and self.deadlines[number] > self.past
            and self.group[number] >= self.first_group
            and self.tries[number] <= self.policy.per_target
        )

    def fresh(self) -> bool:
        """Say whether there is a target that was not tried yet."""
        return any(self.may(each) for each, tries in enumerate(self.tries) if not tries)

    def failed(self, failure: AttemptFailure, now: float) -> None:
        rule, number = RULES[failure.cause], failure.target
        if rule.again is Again.ELSEWHERE:
            self.out.add(number)
        if rule.silent:
            self.silent.add(number)
        if failure.retry_after is not None:
            self.not_before[number] = now + failure.retry_after
            if failure.retry_after > self.policy.max_retry_after:
                self.out.add(number)

    def check(self, step: Try, now: float) -> None:
        """Hold what was decided against what is known."""
        number, wait = step.target, step.wait
        assert self.made < self.policy.max_attempts
        assert self.may(number)
        assert now + wait < self.deadlines[number]
        # To within the rounding of a time and back.
        assert now + wait >= self.not_before[number] - 1e-9
        if self.tries[number]:
            asked_most = no_earlier(100, lambda: 1.0)
            assert 0 <= wait <= max(self.policy.cap, asked_most)
            others = [each for each in range(len(self.tries)) if self.may(each)]
            loud = [each for each in others if self.tries[each] and each not in self.silent]
            assert number not in self.silent or not loud
        else:
            assert wait == 0

    def begin(self, step: Try) -> None:
        self.made += 1
        self.tries[step.target] += 1


@given(
    policy=POLICIES,
    routes=st.lists(
        st.lists(st.floats(1, 700) | st.just(math.inf), min_size=1, max_size=3),
        min_size=1,
        max_size=3,
    ),
    switch_on=st.frozensets(st.sampled_from([LONG, POLICY_REFUSAL])),
    data=st.data(),
)
def test_what_holds_in_every_history(
    policy: RetryPolicy,
    routes: list[list[float]],
    switch_on: frozenset[Cause],
    data: st.DataObject,
) -> None:
    groups = [len(group) for group in routes]
    deadlines = [deadline for group in routes for deadline in group]
    history = History(policy, deadlines, groups)
    order: list[int] = []
    for group in range(len(groups)):
        mine = [number for number, its in enumerate(history.group) if its == group]
        order += data.draw(st.permutations(mine))
    attempts = over(deadlines, policy, order=order, groups=groups, switch_on=switch_on)

    def rng() -> float:
        return data.draw(st.floats(0, 1, exclude_max=True))

    now, step = 0.0, attempts.first(0.0, rng)
    assert step == Try(order[0])
    while isinstance(step, Try):
        history.check(step, now)
        now += step.wait
        if data.draw(st.integers(0, 3)) == 0:
            history.skipped.add(step.target)
            step = attempts.skip(step, now, rng)
            continue
        history.begin(step)
        running = [step.target]
        while data.draw(st.booleans()):
            fallbacks = data.draw(st.booleans())
            hedge = attempts.beside(running, now, rng, fallbacks=fallbacks)
            if hedge is None:
                break
            history.check(hedge, now)
            assert hedge.target not in running
            assert history.tries[hedge.target] == 0
            groups_running = {history.group[number] for number in running}
            assert fallbacks or history.group[hedge.target] in groups_running
            if data.draw(st.booleans()):
                attempts.take_back(hedge)
                break
            history.begin(hedge)
            running.append(hedge.target)
        now += data.draw(st.floats(0, 50))
        for number in running[1:]:
            beside = AttemptFailure(number, data.draw(st.sampled_from([LOST, SILENT, AUTH])))
            history.failed(beside, now)
            attempts.failed(beside, now, rng)
        step = after(attempts, history, running[0], now, switch_on, data)
    assert history.made <= policy.max_attempts


def after(
    attempts: Attempts,
    history: History,
    number: int,
    now: float,
    switch_on: frozenset[Cause],
    data: st.DataObject,
) -> Try | Stop:
    """Let the attempt on `number` fail somehow, with as many keys as it likes."""

    def rng() -> float:
        return data.draw(st.floats(0, 1, exclude_max=True))

    while True:
        cause = data.draw(st.sampled_from(Cause))
        asked = data.draw(st.none() | SECONDS) if cause in (BUSY, SICK) else None
        another_key = cause in (BUSY, AUTH) and data.draw(st.booleans())
        probe = data.draw(st.booleans())
        failure = AttemptFailure(number, cause, asked, another_key, probe)
        step = attempts.after(failure, now, rng)
        ages = cause in (STALE, Cause.STALE_CREDENTIAL)
        renewed = ages and (number, cause) not in history.renewed
        if renewed:
            history.renewed.add((number, cause))
        elif probe and (cause in switch_on or RULES[cause].again is not Again.NOWHERE):
            history.made -= 1
            history.out.add(number)
            another_key = False
        if not (another_key or renewed):
            history.failed(failure, now)
            break
        if not renewed and number in history.stayed and history.fresh():
            history.not_before[number] = 0.0
            break
        if history.made >= history.policy.max_attempts:
            assert step is Stop.EXHAUSTED
            return step
        if now >= history.deadlines[number]:
            assert step is Stop.OUT_OF_TIME
            return step
        assert step == Try(number, 0)
        history.made += 1
        if not renewed:
            history.stayed.add(number)
    if cause in switch_on:
        history.first_group = max(history.first_group, history.group[number] + 1)
    elif cause is Cause.TOTAL_TIMEOUT:
        history.past = history.deadlines[number]
        assert isinstance(step, Try) or step is Stop.OUT_OF_TIME
    elif RULES[cause].again is Again.NOWHERE:
        assert step is Stop.REJECTED
    elif isinstance(step, Stop):
        possible = [each for each in range(len(history.tries)) if history.may(each)]
        assert step is not Stop.REJECTED
        if step is Stop.EXHAUSTED:
            assert history.made == history.policy.max_attempts or not possible
        else:
            assert possible
    if isinstance(step, Try) and cause in (SILENT, Cause.IDLE_TIMEOUT):
        # Who was given little time, from 0 on, has asked for haste.
        given = history.deadlines[step.target]
        least = min(history.policy.min_attempt_time, given / 4)
        assert now + step.wait + least < history.deadlines[step.target]
    return step
