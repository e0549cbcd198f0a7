"""Times as people write them at a terminal."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

WRONG_EXPIRY: Final = (
    "--expires must be a time to come, such as 2027-01-01T00:00:00Z, or a while from now,"
    " such as 90d, 12h or 2w"
)
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([hdw])")
_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}


def time_to_come(text: str, now: datetime) -> datetime | None:
    """Return the time that `text` names, in whole seconds; None unless it is in the future."""
    try:
        if match := _DURATION.fullmatch(text):
            found = now + timedelta(**{_UNITS[match[2]]: int(match[1])})
        else:
            found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    if found.tzinfo is None or found <= now:
        return None
    return found.replace(microsecond=0)


def utc(microseconds: int) -> str:
    """Return a time as ISO 8601 has it, in UTC, to the second."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
