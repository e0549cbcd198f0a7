"""A bucket that refills as it is used: so many per minute.

GCRA, the generic cell rate algorithm (ITU-T I.371 annex A): a token bucket whose whole state is
one time, the theoretical arrival time, at which the bucket will be full again if nothing more
is taken.

    full                          60 s of refill taken: empty          in debt
    --|-----------------------------------|-------------------------------|--> time
     now                              now + 60                           full_at

Taking n moves it 60/limit * n seconds into the future; it may not move beyond now + 60. There
is nothing to refill and no timer, and time that the bucket spends full is not saved up.

Since the state is a time, a limit that changes keeps the share of the bucket that is left: what
was half empty is half empty, and full again when it would have been.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

PERIOD: Final = 60.0  # seconds in which an empty bucket fills: limits are "per minute"

# Seven times 60 / 7 is more than 60 in floats: without this the last of a full bucket would be
# refused. In a bucket of 10^6 a minute it is worth a sixtieth of one.
SLACK: Final = 1e-6


class BucketLevel(msgspec.Struct, frozen=True, gc=False):
    """How full a bucket is. `reset` is the seconds until it is full, as OpenAI's headers mean."""

    limit: int
    remaining: int
    reset: float


class TokenBucket(msgspec.Struct, gc=False):
    """`limit` a minute, and as much at once if it is full. `limit` is at least 1."""

    limit: int
    full_at: float = -math.inf

    def admits(self, amount: int, now: float) -> bool:
        """Say whether `amount` may be taken at `now`."""
        limit, full_at = self.limit, self.full_at
        if amount > limit:
            return False
        return full_at <= now or full_at - now + amount * PERIOD / limit <= PERIOD + SLACK

    def wait(self, amount: int, now: float) -> float:
        """Return the seconds until `amount` may be taken: infinite if it never fits."""
        if amount > self.limit:
            return math.inf
        return max(0.0, max(self.full_at - now, 0.0) + amount * PERIOD / self.limit - PERIOD)

    def take(self, amount: int, now: float) -> float:
        """Take `amount` without asking. Return what that is in seconds of refill."""
        charge = amount * PERIOD / self.limit
        full_at = self.full_at
        self.full_at = (full_at if full_at > now else now) + charge
        return charge

    def settle(self, charge: float, amount: int, now: float) -> None:
        """Put `amount` in the place of a `charge` that was taken before.

        More than was taken counts from now, into debt if need be. What comes back fills the
        bucket up and does not make it any larger. `charge` is in seconds, so that a reserve
        comes back whole if the limit has changed since.
        """
        change = amount * PERIOD / self.limit - charge
        if change > 0.0 and self.full_at < now:
            self.full_at = now
        self.full_at += change

    def resize(self, limit: int, now: float) -> None:
        """Change the limit. A debt run up under the old one is let off: at most it is empty."""
        if limit != self.limit:
            self.limit = limit
            self.full_at = min(self.full_at, now + PERIOD)

    def level(self, now: float) -> BucketLevel:
        """Return how full the bucket is at `now`."""
        reset = self.full_at - now
        if reset <= 0.0:
            return BucketLevel(self.limit, self.limit, 0.0)
        limit = self.limit
        left = int((PERIOD - reset + SLACK) * limit / PERIOD)
        return BucketLevel(limit, 0 if left < 0 else left if left < limit else limit, reset)
