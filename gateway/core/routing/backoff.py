"""How long to wait before another attempt, and what a provider asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

Rng = Callable[[], float]

# No caller waits for a year, and a longer wait would overflow where milliseconds are counted.
LONGEST_ASKED: Final = 365 * 86400.0


def full_jitter(retry: int, base: float, cap: float, rng: Rng) -> float:
    """Return U(0, min(cap, base * 2^retry)) seconds; `retry` counts from 0.

    Full jitter spreads a crowd best (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """
    # 2.0 ** 1024 overflows; the cap is reached long before.
    return rng() * min(cap, base * 2.0 ** min(retry, 60))


def retry_after(headers: Sequence[tuple[bytes, bytes]], epoch: float) -> float | None:
    """Return the seconds that a provider asks callers to wait, or None.

    `retry-after-ms` (OpenAI, Azure) is finer and wins over `Retry-After`, which is seconds
    or an HTTP date (RFC 9110 section 10.2.3) measured against `epoch`. What cannot be read,
    is negative or not finite is as good as absent; a year is the most that is returned.
    """
    found = {name: value for name, value in headers if name.startswith(b"retry-after")}
    if (milliseconds := _number(found.get(b"retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = found.get(b"retry-after")
    if value is None:
        return None
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value.decode("ascii"))
        # HTTP dates are GMT; the obsolete form does not say so (RFC 9110 section 5.6.7).
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return min(LONGEST_ASKED, max(0.0, date.timestamp() - epoch))
    except (ValueError, OverflowError):
        return None


def no_earlier(asked: float, rng: Rng) -> float:
    """Return the wait for a provider's `asked` seconds: never less, a little more.

    Without the jitter every caller that was refused in the same second comes back in the
    same second.
    """
    return asked + rng() * min(1.0, 0.1 * asked)


def _number(value: bytes | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return min(number, LONGEST_ASKED) if math.isfinite(number) and number >= 0 else None
