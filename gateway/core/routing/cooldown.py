"""How long a provider that said 429 wants to be left alone, by its rate limit headers.

`Retry-After` says it outright (`backoff.py`). Where it is missing, the limits themselves do:
the reset of each dimension of which nothing remains.

    OpenAI     x-ratelimit-remaining-{requests,tokens}   x-ratelimit-reset-...: 1s, 6m0s, 20ms
    Anthropic  anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{remaining,reset}
               the reset is a moment, 2026-01-01T00:00:00Z
    others     the same names with plain seconds, or with Unix time
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from .backoff import LONGEST_ASKED, retry_after

_REMAINING: Final = b"remaining"
_DURATION: Final = re.compile(
    rb"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?"
)
_UNITS: Final = (86400.0, 3600.0, 60.0, 1.0, 0.001)
# A larger number is a date and not a duration: no provider asks for thirty years.
_UNIX_TIME: Final = 1e9


def asked_wait(headers: Sequence[tuple[bytes, bytes]], epoch: float) -> float | None:
    """Return the seconds that the provider wants, None if it does not say."""
    asked = retry_after(headers, epoch)
    if asked is not None:
        return asked
    found = dict(headers)
    waits = [
        wait
        for remaining, reset in _dimensions(found)
        if _spent(found[remaining]) and (wait := _until(found.get(reset, b""), epoch)) is not None
    ]
    return max(waits, default=None)


def _dimensions(headers: dict[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
    for name in headers:
        if _REMAINING in name and name.startswith((b"x-ratelimit-", b"anthropic-ratelimit-")):
            yield name, name.replace(_REMAINING, b"reset")


def _spent(remaining: bytes) -> bool:
    left = _number(remaining)
    return left is not None and left <= 0


def _until(value: bytes, epoch: float) -> float | None:
    seconds = _number(value)
    if seconds is None:
        seconds = _duration(value)
        if seconds is None:
            seconds = _moment(value, epoch)
    elif seconds > _UNIX_TIME:
        # Milliseconds, if it would lie a thousand times further in the future.
        seconds = (seconds / 1000 if seconds > 1000 * _UNIX_TIME else seconds) - epoch
    if seconds is None or not math.isfinite(seconds):
        return None
    return min(LONGEST_ASKED, max(0.0, seconds))


def _number(value: bytes) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _duration(value: bytes) -> float | None:
    match = _DURATION.fullmatch(value.strip())
    if match is None or not any(match.groups()):
        return None
    return sum(
        float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part
    )


def _moment(value: bytes, epoch: float) -> float | None:
    try:
        moment = datetime.fromisoformat(value.decode("ascii").strip())
    except ValueError:
        return None
    # RFC 3339 always has an offset; without one it can only be meant as UTC.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - epoch)
