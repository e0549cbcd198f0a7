from __future__ import annotations

from gateway.core.records.gaps import BOUNDS, GapCounts


def test_gaps_are_counted_in_the_bucket_that_has_room_for_them() -> None:
    gaps = GapCounts()
    for seconds in (0.0, 0.001, 0.0011, 60.0, 61.0):
        gaps.add(seconds)
    assert len(gaps.counts) == len(BOUNDS) + 1
    assert (gaps.counts[0], gaps.counts[1], gaps.counts[-2], gaps.counts[-1]) == (2, 1, 1, 1)
    assert sum(gaps.counts) == 5
    assert abs(gaps.total - 121.0021) < 1e-9


def test_bounds_rise() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))
