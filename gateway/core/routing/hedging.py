"""When a second attempt is started beside a slow first one: pure decisions.

The tail of a latency distribution costs little to cut off: a second request after the 95th
percentile doubles the load of one request in twenty (Dean and Barroso, "The Tail at Scale",
CACM 2013). A cap of 5 % of all requests holds that when everything is slow, too.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

# Enough for a percentile that means something, few enough to sort at need (6 µs).
SAMPLES: Final = 128
MIN_SAMPLES: Final = 20
SHARE: Final = 0.05
# So that the first slow request of a quiet hour can be hedged as well.
RESERVE: Final = 3.0


class HedgePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`after`: seconds without a first event, or "p95" of what the deployment usually takes.

    max_extra  how many further attempts may run beside the first
    fallbacks  they may also be made on the model's fallbacks, once its own routes are used up
    """

    after: Literal["p95"] | Annotated[float, Meta(gt=0)] = "p95"
    max_extra: Annotated[int, Meta(ge=1, le=5)] = 1
    fallbacks: bool = False


class Quantile:
    """The 95th percentile of the last `SAMPLES` samples."""

    __slots__ = ("_samples", "_sorted")

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=SAMPLES)
        self._sorted: list[float] | None = None

    def add(self, sample: float) -> None:
        self._samples.append(sample)
        self._sorted = None

    @property
    def p95(self) -> float | None:
        """Return it, or None while there are too few samples to tell."""
        if len(self._samples) < MIN_SAMPLES:
            return None
        if self._sorted is None:
            self._sorted = sorted(self._samples)
        return self._sorted[int(len(self._sorted) * 0.95)]

    @property
    def longest(self) -> float | None:
        """Return the longest sample, None if there is none."""
        return max(self._samples, default=None)


class HedgeCap:
    """Lets at most `SHARE` of the requests of a model be hedged, and a few in reserve."""

    __slots__ = ("__weakref__", "_credit")

    def __init__(self) -> None:
        self._credit = RESERVE

    def request(self) -> None:
        """Count a request that could be hedged."""
        self._credit = min(RESERVE, self._credit + SHARE)

    def spend(self) -> bool:
        """Say whether one more hedge is within the cap, and charge it."""
        # Twenty times a twentieth is a little less than one, in floating point.
        if self._credit < 1.0 - 1e-9:
            return False
        self._credit -= 1.0
        return True

    def give_back(self) -> None:
        """Take back what was spent on a hedge that was not let through."""
        self._credit += 1.0


def delay(policy: HedgePolicy, usual: float | None) -> float | None:
    """Return after how many seconds to hedge; None for not at all, since too little is known."""
    return usual if policy.after == "p95" else policy.after
