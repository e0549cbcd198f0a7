"""Calendar periods, and as much of the one before as has passed of this one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.dashboard.views.periods import NAMES, SECOND, period

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC).timestamp()


def day(us: int) -> str:
    return datetime.fromtimestamp(us / SECOND, UTC).strftime("%m-%d %H")


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("today", ("03-31 00", "04-01 00", "03-30 00", "03-30 12")),
        ("week", ("03-30 00", "04-01 00", "03-23 00", "03-24 12")),
        # February is shorter: never more than all of it.
        ("month", ("03-01 00", "04-01 00", "02-01 00", "03-01 00")),
        ("last-month", ("02-01 00", "03-01 00", "01-01 00", "02-01 00")),
        ("7d", ("03-25 00", "04-01 00", "03-18 00", "03-24 12")),
    ],
)
def test_a_period_and_the_one_before(name: str, times: tuple[str, ...]) -> None:
    found = period(name, NOW)
    shown = (found.since, found.until, found.before_since, found.before_until)
    assert tuple(map(day, shown)) == times


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("now", [0.0, 1.0, 1_767_225_600.0, 1_772_323_199.0, NOW])
def test_every_period_has_two_spans_of_time(name: str, now: float) -> None:
    found = period(name, now + 200 * 86_400)
    assert found.since < found.until
    assert (
        found.before_since < found.before_until <= max(found.since, found.before_since + 60_000_000)
    )
