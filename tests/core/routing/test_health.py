from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.routing.causes import Cause
from gateway.core.routing.health import TAU, AttemptStats, PeakEwma, Sample


def test_ewma_believes_bad_news_at_once_and_good_news_slowly() -> None:
    ewma = PeakEwma()
    ewma.add(1.0, now=0)
    assert ewma.value == 1.0
    ewma.add(5.0, now=1)
    assert ewma.value == 5.0
    ewma.add(1.0, now=1 + TAU)
    assert ewma.value == pytest.approx(1 + 4 / math.e)


def test_ewma_keeps_its_value_when_no_time_has_passed() -> None:
    ewma = PeakEwma()
    ewma.add(5.0, now=10)
    ewma.add(1.0, now=10)
    assert ewma.value == 5.0
    # A clock that goes back is no reason to believe more of it.
    ewma.add(1.0, now=5)
    assert ewma.value == 5.0


@given(st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1e3)), min_size=1))
def test_ewma_stays_between_its_samples(samples: list[tuple[float, float]]) -> None:
    ewma, now = PeakEwma(), 0.0
    for sample, passed in samples:
        now += passed
        ewma.add(sample, now)
        assert ewma.value is not None
        assert ewma.value >= sample or math.isclose(ewma.value, sample)
    values = [sample for sample, _ in samples]
    assert min(values) - 1e-9 <= ewma.value <= max(values) + 1e-9  # type: ignore[operator]


def test_failures_in_a_row() -> None:
    health = AttemptStats()
    rows: list[tuple[Cause | None, int]] = [
        (Cause.SERVER_ERROR, 1),
        (Cause.CONNECT_FAILED, 2),
        (Cause.CLIENT_GONE, 2),  # neither good nor bad
        (Cause.RATE_LIMITED, 2),
        (Cause.TRUNCATED, 3),
        (Cause.REJECTED, 0),  # it answered, if only to refuse
        (Cause.SERVER_ERROR, 1),
        (None, 0),
    ]
    for cause, expected in rows:
        health.add(Sample(cause), now=0)
        assert health.consecutive_failures == expected
    assert health.attempts == len(rows)
    assert health.failures[Cause.SERVER_ERROR] == 2
    assert sum(health.failures.values()) == len(rows) - 1


def test_latencies_are_kept_apart_and_only_if_reached() -> None:
    health = AttemptStats()
    health.add(Sample(None, latency=3.0, first_event=0.5), now=0)
    health.add(Sample(Cause.CONNECT_FAILED), now=1)
    assert (health.latency.value, health.first_event.value) == (3.0, 0.5)


@pytest.mark.parametrize(
    "cause", [Cause.CLIENT_GONE, Cause.SHUTDOWN, Cause.RATE_LIMITED, Cause.HEDGED]
)
def test_what_says_nothing_of_the_provider_leaves_its_times_alone(cause: Cause) -> None:
    health = AttemptStats()
    health.add(Sample(None, latency=1.0, first_event=0.5), now=0)
    health.add(Sample(Cause.SERVER_ERROR, latency=1.0), now=1)
    health.add(Sample(cause, latency=99.0, first_event=98.0), now=2)
    assert (health.latency.value, health.first_event.value) == (1.0, 0.5)
    assert health.consecutive_failures == 1
    assert (health.attempts, health.failures[cause]) == (3, 1)
