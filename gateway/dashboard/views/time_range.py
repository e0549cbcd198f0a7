"""The spans of time that pages offer."""

from __future__ import annotations

from typing import Final

import msgspec

from ...store.queries.filters import moment

MINUTE, HOUR, DAY = 60, 3600, 86_400


class TimeRange(msgspec.Struct, frozen=True):
    """`refresh` is after how many seconds its figures are worth asking for again."""

    name: str
    label: str
    seconds: int
    refresh: float


RANGES: Final = {
    each.name: each
    for each in (
        TimeRange("15m", "15 min", 15 * MINUTE, 5),
        TimeRange("1h", "1 hour", HOUR, 5),
        TimeRange("6h", "6 hours", 6 * HOUR, 15),
        TimeRange("24h", "24 hours", DAY, 30),
        TimeRange("7d", "7 days", 7 * DAY, 60),
        TimeRange("30d", "30 days", 30 * DAY, 120),
    )
}


def since(wanted: TimeRange, now: float) -> int:
    """Return its beginning in microseconds."""
    return moment("range", f"{wanted.seconds}s", now)
