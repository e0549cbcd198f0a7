from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.limits.budget import Budget, Spending, Window, begin, bounds


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


# (window, an instant in it, its start, its end)
WINDOWS: list[tuple[Window, str, str, str]] = [
    ("day", "2026-03-01T00:00:00", "2026-03-01", "2026-03-02"),
    ("day", "2026-03-01T23:59:59.999", "2026-03-01", "2026-03-02"),
    ("day", "2028-02-28T12:00:00", "2028-02-28", "2028-02-29"),
    ("day", "2026-12-31T23:00:00", "2026-12-31", "2027-01-01"),
    # Clocks in Europe and America change on these; UTC's do not.
    ("day", "2026-03-29T12:00:00", "2026-03-29", "2026-03-30"),
    ("week", "2026-09-21T00:00:00", "2026-09-21", "2026-09-28"),
    ("week", "2026-09-20T23:59:59.999", "2026-09-14", "2026-09-21"),
    ("week", "2027-01-01T00:00:00", "2026-12-28", "2027-01-04"),
    ("week", "2024-12-30T00:00:00", "2024-12-30", "2025-01-06"),
    ("week", "2028-02-29T08:00:00", "2028-02-28", "2028-03-06"),
    ("week", "1970-01-01T00:00:00", "1969-12-29", "1970-01-05"),
    ("month", "2026-01-31T23:59:59.999", "2026-01-01", "2026-02-01"),
    ("month", "2026-02-28T12:00:00", "2026-02-01", "2026-03-01"),
    ("month", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
    ("month", "2100-02-28T12:00:00", "2100-02-01", "2100-03-01"),  # no leap year
    ("month", "2026-04-30T00:00:00", "2026-04-01", "2026-05-01"),
    ("month", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
    ("month", "2027-01-01T00:00:00", "2027-01-01", "2027-02-01"),
]


@pytest.mark.parametrize(("window", "when", "start", "end"), WINDOWS)
def test_windows(window: Window, when: str, start: str, end: str) -> None:
    assert bounds(window, at(when)) == (at(start), at(end))


def test_all_time_has_no_end() -> None:
    assert bounds("total", at("2026-01-01")) == (-math.inf, math.inf)


LENGTHS: dict[Window, tuple[int, int]] = {"day": (1, 1), "week": (7, 7), "month": (28, 31)}


@given(st.sampled_from(sorted(LENGTHS)), st.floats(0, at("2200-01-01")))
def test_windows_follow_each_other_without_gaps(window: Window, epoch: float) -> None:
    start, end = bounds(window, epoch)
    assert start <= epoch < end
    shortest, longest = LENGTHS[window]
    assert shortest * 86400 <= end - start <= longest * 86400
    assert bounds(window, start) == bounds(window, end - 0.001) == (start, end)
    assert bounds(window, end)[0] == end
    assert bounds(window, start - 0.001)[1] == start


@given(st.datetimes(datetime(1970, 1, 5), datetime(2200, 1, 1)))
def test_weeks_are_those_of_iso_8601(when: datetime) -> None:
    start, _ = bounds("week", when.replace(tzinfo=UTC).timestamp())
    monday = datetime.fromtimestamp(start, UTC)
    assert monday.isocalendar()[:2] == when.isocalendar()[:2]
    assert (monday.isoweekday(), monday.time()) == (1, datetime.min.time())


@pytest.mark.parametrize(
    ("usd", "nano"), [(10, 10**10), (0.1, 10**8), (1e-9, 1), (1e-12, 1), (1e9, 10**18)]
)
def test_nano_dollars(usd: float, nano: int) -> None:
    assert Budget(usd=usd).nano == nano


@pytest.mark.parametrize(
    "table",
    [
        {"usd": 0},
        {"usd": -1},
        {"usd": math.inf},
        {"usd": math.nan},
        {"usd": "10"},
        {"usd": 1, "window": "year"},
        {"usd": 1, "limit": 2},
        {"window": "day"},
    ],
)
def test_what_is_no_budget(table: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, Budget)


def test_a_budget_is_monthly_unless_it_says_otherwise() -> None:
    assert msgspec.convert({"usd": 5}, Budget) == Budget(usd=5.0, window="month")


def spending(window: Window, when: str, spent: int = 0, reserved: int = 0) -> Spending:
    started = begin(Budget(usd=1, window=window), at(when))
    started.spent, started.reserved = spent, reserved
    return started


@pytest.mark.parametrize(
    ("spent", "reserved", "exhausted"),
    [
        (0, 0, False),
        (10**9 - 1, 0, False),
        (10**9, 0, True),
        (0, 10**9, True),
        (10**9 - 1, 1, True),
        (3 * 10**9, 0, True),
    ],
)
def test_when_a_budget_is_exhausted(spent: int, reserved: int, exhausted: bool) -> None:
    assert spending("day", "2026-01-01", spent, reserved).exhausted is exhausted


def test_a_new_window_begins_with_nothing() -> None:
    old = spending("day", "2026-01-31T12:00:00", 7, 8)
    assert old.at(at("2026-01-31T23:59:59.999")) is old
    new = old.at(at("2026-02-01"))
    assert (new.spent, new.reserved, new.starts) == (0, 0, at("2026-02-01"))
    assert (old.spent, old.reserved) == (7, 8)
    forever = spending("total", "2026-01-31", 7, 8)
    assert forever.at(at("2099-01-01")) is forever


def test_a_clock_that_is_set_back_forgives_nothing_and_locks_nobody_out() -> None:
    ahead = spending("month", "2030-05-05", 7, 8)
    back = ahead.at(at("2026-05-05"))
    assert back is ahead
    assert (back.spent, back.reserved) == (7, 8)
    assert (back.starts, back.ends) == (at("2026-05-01"), at("2026-06-01"))


def test_another_amount_keeps_what_is_spent_and_another_window_does_not() -> None:
    day = spending("day", "2026-01-31", 7, 8)
    same = day.under(Budget(usd=2, window="day"), at("2026-01-31"))
    assert same is day
    assert (same.spent, same.reserved, same.limit) == (7, 8, 2 * 10**9)
    month = day.under(Budget(usd=2, window="month"), at("2026-01-31"))
    assert (month.spent, month.reserved) == (0, 0)
    assert month.ends == at("2026-01-31") + timedelta(days=1).total_seconds()
