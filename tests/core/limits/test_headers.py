from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.limits.bucket import BucketLevel
from gateway.core.limits.headers import duration, rate_limit_headers
from gateway.core.limits.ledger import LimitStatus


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, b"0s"),
        (-1.0, b"0s"),
        (0.02, b"20ms"),
        (0.0201, b"21ms"),
        (0.0004, b"1ms"),
        (0.999, b"999ms"),
        (0.9991, b"1s"),
        (1.0, b"1s"),
        (1.5, b"1.5s"),
        (1.05, b"1.05s"),
        (12.172, b"12.172s"),
        (59.9999, b"1m0s"),
        (60.0, b"1m0s"),
        (252.172, b"4m12.172s"),
        (360.0, b"6m0s"),
        (3600.0, b"1h0m0s"),
        (3723.0, b"1h2m3s"),
        (83909.144, b"23h18m29.144s"),
        (360_000.0, b"100h0m0s"),
    ],
)
def test_durations(seconds: float, written: bytes) -> None:
    assert duration(seconds) == written


WRITTEN = re.compile(rb"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")


@given(st.floats(0, 1e6))
def test_a_duration_is_never_too_short_nor_much_too_long(seconds: float) -> None:
    match = WRITTEN.fullmatch(duration(seconds))
    assert match is not None
    hours, minutes, rest, milliseconds = (float(part or 0) for part in match.groups())
    read = hours * 3600 + minutes * 60 + rest + milliseconds / 1000
    assert seconds - 1e-6 <= read <= seconds + 0.001 + 1e-6
    assert minutes < 60
    assert rest < 60


def test_all_six_in_openais_words() -> None:
    status = LimitStatus(BucketLevel(60, 59, 1.0), BucketLevel(150_000, 149_984, 360.0))
    assert rate_limit_headers([status]) == [
        (b"x-ratelimit-limit-requests", b"60"),
        (b"x-ratelimit-remaining-requests", b"59"),
        (b"x-ratelimit-reset-requests", b"1s"),
        (b"x-ratelimit-limit-tokens", b"150000"),
        (b"x-ratelimit-remaining-tokens", b"149984"),
        (b"x-ratelimit-reset-tokens", b"6m0s"),
    ]


def test_what_nobody_limits_has_no_headers() -> None:
    assert rate_limit_headers([]) == []
    assert rate_limit_headers([LimitStatus(None, None), LimitStatus(None, None)]) == []
    names = [name for name, _ in rate_limit_headers([LimitStatus(None, BucketLevel(9, 8, 1.0))])]
    assert names == [
        b"x-ratelimit-limit-tokens",
        b"x-ratelimit-remaining-tokens",
        b"x-ratelimit-reset-tokens",
    ]


A, B, C = BucketLevel(100, 5, 1.0), BucketLevel(10, 5, 2.0), BucketLevel(1000, 4, 3.0)


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        ([A], A),
        ([A, None], A),
        ([None, A], A),
        # As much left: the token's own comes first.
        ([A, B], A),
        ([B, A], B),
        ([A, C], C),
        ([C, A], C),
        ([A, None, B, C], C),
    ],
)
def test_the_scope_with_the_least_left_is_shown(
    levels: list[BucketLevel | None], shown: BucketLevel
) -> None:
    by_requests = rate_limit_headers([LimitStatus(level, None) for level in levels])
    assert by_requests == rate_limit_headers([LimitStatus(shown, None)])
    by_tokens = rate_limit_headers([LimitStatus(None, level) for level in levels])
    assert by_tokens == rate_limit_headers([LimitStatus(None, shown)])


def test_each_dimension_is_that_of_the_scope_where_it_is_shortest() -> None:
    found = dict(rate_limit_headers([LimitStatus(A, C), LimitStatus(C, A)]))
    assert found[b"x-ratelimit-limit-requests"] == b"1000"
    assert found[b"x-ratelimit-limit-tokens"] == b"1000"
