from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.limits.shedding import OverloadPolicy, come_back, shed_probability

POLICY = OverloadPolicy(lag=0.25, lag_max=1.25, max_in_flight=100)
OFF = OverloadPolicy(lag=0.0, max_in_flight=0)


@pytest.mark.parametrize(
    ("policy", "lag", "in_flight", "probability"),
    [
        (POLICY, 0.0, 0, 0.0),
        (POLICY, 0.25, 0, 0.0),
        (POLICY, 0.5, 0, 0.25),
        (POLICY, 1.0, 0, 0.75),
        (POLICY, 1.25, 0, 1.0),
        (POLICY, 60.0, 0, 1.0),
        (POLICY, 0.0, 92, 0.0),
        (POLICY, 0.0, 94, 0.25),
        (POLICY, 0.0, 98, 0.75),
        (POLICY, 0.0, 100, 1.0),
        (POLICY, 0.0, 500, 1.0),
        # The worse of the two.
        (POLICY, 0.5, 98, 0.75),
        (POLICY, 1.0, 94, 0.75),
        # Each can be off.
        (OFF, 60.0, 10**6, 0.0),
        (OverloadPolicy(lag=0.0, max_in_flight=100), 60.0, 98, 0.75),
        (OverloadPolicy(lag=0.25, lag_max=1.25), 0.5, 10**6, 0.25),
        # A limit of one admits one.
        (OverloadPolicy(max_in_flight=1), 0.0, 0, 0.0),
        (OverloadPolicy(max_in_flight=1), 0.0, 1, 1.0),
        # No room between the thresholds, or less than none.
        (OverloadPolicy(lag=0.5, lag_max=0.5), 0.49, 0, 0.0),
        (OverloadPolicy(lag=0.5, lag_max=0.5), 0.5, 0, 1.0),
        (OverloadPolicy(lag=0.5, lag_max=0.1), 0.49, 0, 0.0),
        (OverloadPolicy(lag=0.5, lag_max=0.1), 0.5, 0, 1.0),
    ],
)
def test_the_share_grows_evenly_between_two_thresholds(
    policy: OverloadPolicy, lag: float, in_flight: int, probability: float
) -> None:
    assert shed_probability(policy, lag, in_flight) == pytest.approx(probability)


def test_only_a_late_loop_sheds_by_default() -> None:
    assert shed_probability(OverloadPolicy(), 0.0, 10**6) == 0.0
    assert shed_probability(OverloadPolicy(), 1.0, 0) == 1.0


@given(
    low=st.floats(0, 10),
    high=st.floats(0, 10),
    limit=st.integers(0, 100),
    lags=st.tuples(st.floats(0, 20), st.floats(0, 20)),
    counts=st.tuples(st.integers(0, 200), st.integers(0, 200)),
)
def test_it_is_a_probability_and_never_falls_with_more_load(
    low: float, high: float, limit: int, lags: tuple[float, float], counts: tuple[int, int]
) -> None:
    policy = OverloadPolicy(lag=low, lag_max=high, max_in_flight=limit)
    less = shed_probability(policy, min(lags), min(counts))
    more = shed_probability(policy, max(lags), max(counts))
    assert 0.0 <= less <= more <= 1.0


@pytest.mark.parametrize(("dice", "seconds"), [(0.0, 1.0), (0.5, 3.0), (0.999, 4.996)])
def test_callers_are_told_to_come_back_at_different_times(dice: float, seconds: float) -> None:
    assert come_back(lambda: dice) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "table",
    [{"lag": -0.1}, {"lag_max": -1}, {"max_in_flight": -1}, {"max_inflight": 5}],
    ids=repr,
)
def test_a_policy_that_makes_no_sense_is_refused(table: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, OverloadPolicy)
