"""What an open breaker lets through for requests that have no other deployment.

Two ways past it, and one is enough:

    in proportion   of all that ask, `GENEROSITY` times the share of the latest attempts that
                    succeeded, all at most: whoever serves a tenth of its requests gets all
    the floor       `FLOOR` a second, and less while attempts of before have shown nothing yet

"Handling Overload" in Google's SRE book throttles clients like that, with a factor of 2, so that
a provider that fails half may be sent everything. There the rest would only add to an overload.
Here nearly all failures are not brought about by load (what is too much gets a 429), and a
refusal of ours is one more failure to the caller. With 10 a provider answers more callers
than without a breaker, retries included, as long as it serves a sixth of what it is sent.

The share is one of attempts, not of time: the first that succeed after an outage each move it by
`1 / MEMORY`, and two of them let nearly everything pass again, within a second or so.
The proportion is kept by counting, without chance: each that asks adds its share, and each whole
one lets one pass.
"""

from __future__ import annotations

import math
from typing import Final

GENEROSITY: Final = 10.0
MEMORY: Final = 20  # attempts, of which the share is that succeeded
# A second. Enough to find a provider well again at once, and few enough to cost it nothing.
FLOOR: Final = 2.0
# Seconds that a caller is asked to wait at most for its turn: there may be none for it then.
LONGEST_TURN: Final = 5.0
ROUNDING: Final = 1e-9


class Throttle:
    """Lets some attempts through. `good` is the share of the latest that succeeded.

    Up to `burst` pass at once by the floor, if there were none for long.
    """

    __slots__ = (
        "_at",
        "_burst",
        "_credit",
        "_not_before",
        "_refused",
        "_tokens",
        "good",
        "under_way",
    )

    def __init__(self, burst: float = 1.0) -> None:
        self._burst = burst
        self.under_way = 0
        self.begin(-math.inf)
        self._tokens = burst

    def __repr__(self) -> str:
        return f"<Throttle at {self.good:.0%}, {self.under_way} under way>"

    def begin(self, now: float, good: float = 0.0, not_before: float = -math.inf) -> None:
        """Start over, after a failure.

        The floor lets none pass until `not_before`: a provider can ask for that.
        """
        self.good = good
        self._at = now
        self._not_before = not_before
        self._tokens = 0.0
        self._credit = 0.0
        self._refused = 0  # since the last that passed

    def wait_until(self, not_before: float) -> None:
        """Let none pass by the floor until then."""
        self._not_before = max(self._not_before, not_before)

    def passes(self, now: float) -> bool:
        """Say whether an attempt may pass now."""
        self._refill(now)
        by_floor = self._tokens >= 1.0 - ROUNDING and now >= self._not_before
        return by_floor or self._credit + self._share >= 1.0 - ROUNDING

    def take(self, now: float) -> None:
        """Let an attempt pass; it must `leave`."""
        self._refill(now)
        self._credit += self._share
        if self._credit >= 1.0 - ROUNDING:
            self._credit -= 1.0
        else:
            self._tokens = max(0.0, self._tokens - 1.0)
        self.under_way += 1
        self._refused = 0

    def refuse(self) -> None:
        """Take note of one that may not pass."""
        self._credit += self._share
        self._refused += 1

    def leave(self, now: float) -> None:
        """End an attempt that has passed."""
        self._refill(now)
        self.under_way -= 1

    def note(self, *, failed: bool) -> None:
        """Learn from the end of an attempt."""
        self.good += ((0.0 if failed else 1.0) - self.good) / MEMORY

    def retry_at(self, now: float) -> float:
        """Return when the next one is worth asking for.

        Each that is refused gets a later turn than the one before: otherwise all of them would
        come back at once for one place.
        """
        self._refill(now)
        missing = max(0.0, max(1, self._refused) - self._tokens)
        wait = min(LONGEST_TURN, missing * (1 + self.under_way) / FLOOR)
        return max(now + wait, self._not_before)

    @property
    def _share(self) -> float:
        return min(1.0, GENEROSITY * self.good)

    def _refill(self, now: float) -> None:
        # Each that has shown nothing yet delays the next: of a provider that is silent fifteen
        # wait for their timeout of a minute, and not 120.
        if now > self._at:
            gained = (now - self._at) * FLOOR / (1 + self.under_way)
            self._tokens = min(self._burst, self._tokens + gained)
            self._at = now


def seen_so_far(requests: int, failures: int, in_a_row: float) -> float:
    """Return the share of successes that a throttle starts with.

    That of the window, as it is after the latest failures: a provider that was well for long
    and is down now has mostly successes in it.
    """
    if not requests:
        return 0.0
    return (requests - failures) / requests * float((1.0 - 1.0 / MEMORY) ** in_a_row)
