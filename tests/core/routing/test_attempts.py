from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.routing.attempts import Attempts, Failure, RetryPolicy, Stop, Try
from gateway.core.routing.backoff import no_earlier
from gateway.core.routing.causes import RULES, Again, Cause

POLICY = RetryPolicy(
    max_attempts=4, per_target=2, base=0.5, cap=8, max_retry_after=60, min_attempt_time=10
)
# A failure: target, cause, when it ended, what the provider asked for; then what follows.
Step = tuple[int, Cause, float, float | None, Try | Stop]

LOST, BUSY, SICK = Cause.CONNECTION_LOST, Cause.RATE_LIMITED, Cause.SERVER_ERROR
SILENT, AUTH = Cause.FIRST_EVENT_TIMEOUT, Cause.AUTH_FAILED


def half() -> float:
    return 0.5


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
    attempts = Attempts(policy, deadlines)
    assert attempts.first() == Try(0, 0)
    for target, cause, now, asked, expected in steps:
        found = attempts.after(Failure(target, cause, asked), now, half)
        if isinstance(found, Try) and isinstance(expected, Try):
            assert found.target == expected.target
            assert found.wait == pytest.approx(expected.wait)
        else:
            assert found is expected


@pytest.mark.parametrize("cause", [c for c, rule in RULES.items() if rule.again is Again.NOWHERE])
def test_what_leads_nowhere_stops_whatever_is_left(cause: Cause) -> None:
    attempts = Attempts(POLICY, [math.inf] * 3)
    attempts.first()
    expected = Stop.OUT_OF_TIME if cause is Cause.TOTAL_TIMEOUT else Stop.REJECTED
    assert attempts.after(Failure(0, cause), 1, half) is expected


def test_repr_shows_the_tries() -> None:
    attempts = Attempts(POLICY, [600, 600])
    attempts.first()
    attempts.after(Failure(0, LOST), 1, half)
    assert repr(attempts) == "<Attempts [1, 1] of 4>"


SECONDS = st.floats(0, 100)
POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 8),
    per_target=st.integers(0, 4),
    base=st.floats(0, 5),
    cap=st.floats(0, 20),
    max_retry_after=SECONDS,
    min_attempt_time=st.floats(0, 30),
)


@given(
    policy=POLICIES,
    deadlines=st.lists(st.floats(1, 700) | st.just(math.inf), min_size=1, max_size=4),
    data=st.data(),
)
def test_what_holds_in_every_history(
    policy: RetryPolicy, deadlines: list[float], data: st.DataObject
) -> None:
    attempts = Attempts(policy, deadlines)

    def rng() -> float:
        return data.draw(st.floats(0, 1, exclude_max=True))

    now, step = 0.0, attempts.first()
    tries = [0] * len(deadlines)
    silent: set[int] = set()
    out: set[int] = set()
    not_before = [0.0] * len(deadlines)
    while True:
        now += step.wait
        tries[step.target] += 1
        assert sum(tries) <= policy.max_attempts
        now += data.draw(st.floats(0, 50))
        cause = data.draw(st.sampled_from(Cause))
        asked = data.draw(st.none() | SECONDS) if cause in (BUSY, SICK) else None
        if asked is not None:
            not_before[step.target] = now + asked
            if asked > policy.max_retry_after:
                out.add(step.target)
        if RULES[cause].again is Again.ELSEWHERE:
            out.add(step.target)
        if RULES[cause].silent:
            silent.add(step.target)
        following = attempts.after(Failure(step.target, cause, asked), now, rng)
        if isinstance(following, Stop):
            break
        target, wait = following.target, following.wait
        assert RULES[cause].again is not Again.NOWHERE
        assert target not in out
        assert tries[target] <= policy.per_target
        assert wait >= 0
        assert now + wait < deadlines[target]
        if cause in (SILENT, Cause.IDLE_TIMEOUT):
            assert now + wait + policy.min_attempt_time < deadlines[target]
        # To within the rounding of a time and back.
        assert now + wait >= not_before[target] - 1e-9
        if tries[target]:
            asked_most = no_earlier(100, lambda: 1.0)
            assert wait <= max(policy.cap, asked_most)
        else:
            assert wait == 0
        others = [
            other
            for other, count in enumerate(tries)
            if other not in out | silent and count <= policy.per_target
        ]
        assert target not in silent or not others
        step = following
