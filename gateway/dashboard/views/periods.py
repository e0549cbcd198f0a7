"""Calendar periods in UTC, as bills are, and the same time before each to compare with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

DAY: Final = timedelta(days=1)
SECOND: Final = 1_000_000
NAMES: Final = {
    "today": "Today",
    "week": "This week",
    "month": "This month",
    "last-month": "Last month",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
}


class UsagePeriod(msgspec.Struct, frozen=True):
    """Times are microseconds, ends are out. `before` is what it is compared with.

    The period before is cut where this one stands: half a month is compared with half a month.
    """

    name: str
    since: int
    until: int
    before_since: int
    before_until: int
    bucket: Literal["hour", "day"]
    before: str

    @property
    def step(self) -> int:
        """Return the seconds of a bucket."""
        return 3600 if self.bucket == "hour" else 86_400


def period(name: str, now: float) -> UsagePeriod:
    """Return the period of that name, one of `NAMES`, around `now` in Unix seconds."""
    here = datetime.fromtimestamp(now, UTC)
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow = midnight + DAY
    if name == "today":
        return _made(name, midnight, tomorrow, midnight - DAY, here, "yesterday until this hour")
    if name == "week":
        monday = midnight - DAY * midnight.weekday()
        return _made(name, monday, tomorrow, monday - 7 * DAY, here, "last week until this day")
    if name == "month":
        first = midnight.replace(day=1)
        before = (first - DAY).replace(day=1)
        return _made(name, first, tomorrow, before, here, "last month until this day")
    if name == "last-month":
        end = midnight.replace(day=1)
        first = (end - DAY).replace(day=1)
        before = (first - DAY).replace(day=1)
        return _made(name, first, end, before, end, "the month before", whole=first)
    days = int(name.removesuffix("d"))
    first = tomorrow - days * DAY
    return _made(name, first, tomorrow, first - days * DAY, here, f"the {days} days before")


def _made(
    name: str,
    since: datetime,
    until: datetime,
    before: datetime,
    here: datetime,
    text: str,
    whole: datetime | None = None,
) -> UsagePeriod:
    # As much of the period before as has passed of this one, but never more than all of it.
    cut = whole or min(before + (here - since), since)
    return UsagePeriod(
        name,
        _us(since),
        _us(until),
        _us(before),
        max(_us(cut), _us(before) + 60 * SECOND),
        "hour" if name == "today" else "day",
        text,
    )


def _us(at: datetime) -> int:
    return round(at.timestamp()) * SECOND
