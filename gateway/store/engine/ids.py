"""The primary keys of requests: the time in microseconds, and ten bits to tell equal times apart.

The writer draws the ten bits at random, since several processes write; if a key is taken already,
it draws again. 63 bits last until 2255.
"""

from __future__ import annotations

from typing import Final

_BITS: Final = 10
SPREAD: Final = 1 << _BITS


def id_of(time_us: int, low: int) -> int:
    """Return the key of a request at `time_us`; `low` is from 0 to `SPREAD` - 1."""
    return time_us << _BITS | low


def first_id(time_us: int) -> int:
    """Return the lowest key of that microsecond: requests from then on have it, or a higher one."""
    return time_us << _BITS


def time_of(row_id: int) -> int:
    """Return the microsecond that a key stands for."""
    return row_id >> _BITS
