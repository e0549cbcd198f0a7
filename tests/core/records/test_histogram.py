from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.records.histogram import BOUNDS, BUCKETS, bucket_of, quantile


@pytest.mark.parametrize(
    ("microseconds", "bucket"),
    [(0, 0), (5_000, 0), (5_001, 1), (300_000_000, BUCKETS - 2), (300_000_001, BUCKETS - 1)],
)
def test_buckets(microseconds: int, bucket: int) -> None:
    assert bucket_of(microseconds) == bucket


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile([0] * BUCKETS, 0.5) is None


def test_a_quantile_is_interpolated_in_its_bucket() -> None:
    counts = [0] * BUCKETS
    counts[1] = 10  # between 5 and 10 ms
    assert quantile(counts, 0.5) == pytest.approx(7_500)
    assert quantile(counts, 1.0) == pytest.approx(10_000)


def test_beyond_the_last_bound_only_that_is_known() -> None:
    counts = [0] * BUCKETS
    counts[-1] = 1
    assert quantile(counts, 0.99) == BOUNDS[-1]


@given(st.lists(st.integers(0, 299_999_999), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_quantile_is_in_the_same_bucket_as_the_true_one(values: list[int], q: float) -> None:
    counts = [0] * BUCKETS
    for value in values:
        counts[bucket_of(value)] += 1
    found = quantile(counts, q)
    assert found is not None
    rank = max(0, -(-int(q * len(values) * 1e9) // 10**9) - 1)
    true = sorted(values)[min(rank, len(values) - 1)]
    assert abs(bucket_of(found) - bucket_of(true)) <= 1


def test_quantiles_of_many_are_close() -> None:
    rng = random.Random(1)
    values = [rng.lognormvariate(13, 1) for _ in range(20_000)]
    counts = [0] * BUCKETS
    for value in values:
        counts[bucket_of(value)] += 1
    for q in (0.5, 0.95, 0.99):
        found = quantile(counts, q)
        assert found == pytest.approx(sorted(values)[int(q * len(values))], rel=0.25)
