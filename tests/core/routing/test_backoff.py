from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.routing.backoff import LONGEST_ASKED, full_jitter, no_earlier, retry_after

# Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110 section 5.6.7.
EXAMPLE = 784_111_777.0


@pytest.mark.parametrize(
    ("retry", "chance", "seconds"),
    [(0, 1.0, 0.5), (1, 1.0, 1.0), (3, 1.0, 4.0), (4, 1.0, 8.0), (9, 1.0, 8.0), (2, 0.25, 0.5)],
)
def test_full_jitter(retry: int, chance: float, seconds: float) -> None:
    assert full_jitter(retry, 0.5, 8, lambda: chance) == seconds


@given(st.integers(0, 5000), st.floats(0, 100), st.floats(0, 100), st.floats(0, 1))
def test_full_jitter_stays_in_its_bounds(
    retry: int, base: float, cap: float, chance: float
) -> None:
    wait = full_jitter(retry, base, cap, lambda: chance)
    assert 0 <= wait <= cap
    if retry == 0:
        assert wait <= base


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None),
        ([(b"retry-after", b"7")], 7),
        ([(b"retry-after", b"0")], 0),
        ([(b"retry-after", b"1.5")], 1.5),
        ([(b"retry-after", b" 7 ")], 7),
        ([(b"retry-after-ms", b"250")], 0.25),
        ([(b"retry-after", b"7"), (b"retry-after-ms", b"250")], 0.25),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"7")], 0.25),
        ([(b"retry-after-ms", b"soon"), (b"retry-after", b"7")], 7),
        ([(b"retry-after-ms", b"-1"), (b"retry-after", b"7")], 7),
        ([(b"retry-after", b"-7")], None),
        ([(b"retry-after", b"nan")], None),
        ([(b"retry-after", b"inf")], None),
        ([(b"retry-after", b"1e999")], None),
        # Finite, but its milliseconds are not.
        ([(b"retry-after", b"1e306")], LONGEST_ASKED),
        ([(b"retry-after-ms", b"1e308")], LONGEST_ASKED / 1000),
        ([(b"retry-after", b"Fri, 31 Dec 9999 23:59:59 GMT")], LONGEST_ASKED),
        ([(b"retry-after", b"")], None),
        ([(b"retry-after", b"soon")], None),
        ([(b"retry-after", b"\xff")], None),
        ([(b"x-retry-after", b"7")], None),
        # The three forms of an HTTP date, 100 s ahead...
        ([(b"retry-after", b"Sun, 06 Nov 1994 08:49:37 GMT")], 100),
        ([(b"retry-after", b"Sunday, 06-Nov-94 08:49:37 GMT")], 100),
        ([(b"retry-after", b"Sun Nov  6 08:49:37 1994")], 100),
        # ...and dates that are past or are none.
        ([(b"retry-after", b"Sun, 06 Nov 1994 08:47:00 GMT")], 0),
        ([(b"retry-after", b"Sun, 99 Nov 1994 08:49:37 GMT")], None),
        ([(b"retry-after", b"Sun, 06 Nov 99999 08:49:37 GMT")], None),
    ],
)
def test_retry_after(headers: list[tuple[bytes, bytes]], seconds: float | None) -> None:
    assert retry_after(headers, EXAMPLE - 100) == seconds


@given(
    st.binary(max_size=40) | st.text("0123456789 -+:,.eSunNovGMT", max_size=40).map(str.encode),
    st.sampled_from([b"retry-after", b"retry-after-ms"]),
)
def test_any_value_is_seconds_or_nothing(value: bytes, name: bytes) -> None:
    seconds = retry_after([(name, value)], EXAMPLE)
    assert seconds is None or 0 <= seconds < math.inf


@pytest.mark.parametrize(
    ("asked", "chance", "wait"), [(4, 0, 4), (4, 1, 4.4), (60, 1, 61), (0, 1, 0), (4, 0.5, 4.2)]
)
def test_no_earlier(asked: float, chance: float, wait: float) -> None:
    assert no_earlier(asked, lambda: chance) == pytest.approx(wait)


@given(st.floats(0, 1e6), st.floats(0, 1))
def test_never_earlier_than_asked_and_at_most_a_second_later(asked: float, chance: float) -> None:
    assert asked <= no_earlier(asked, lambda: chance) <= asked + 1
