"""How long a caller must have waited for its leaving to say something of the deployment.

A provider that hangs shows no failure when its callers leave before our own timeouts: 5 s are
less than `first_event`, and yet far more than it usually takes.
"""

from __future__ import annotations

import math
from typing import Final

from ..health import Sample
from ..hedging import Quantile

# Seconds: the least that a caller must have waited, and what a stream must have taken where no
# answer has shown yet what is usual.
SHORTEST_PATIENCE: Final = 1.0
PATIENCE: Final = 3.0


class Patience:
    """What is usual for one deployment: for streams, and for whole answers, which take longer."""

    __slots__ = ("_streams", "_whole")

    def __init__(self) -> None:
        self._streams = Quantile()
        self._whole = Quantile()

    def __repr__(self) -> str:
        return f"<Patience of {self.seconds():g} s>"

    def add(self, sample: Sample) -> None:
        """Learn from a good answer."""
        if sample.first_event is not None:
            (self._whole if sample.whole else self._streams).add(sample.first_event)

    def seconds(self, *, whole: bool = False) -> float:
        """Return how many seconds without a first event are no more than usual.

        The 95th percentile of what it took, or the longest while that is not known. How long a
        whole answer takes depends on its length: without any sample none is too late.
        """
        known = self._whole if whole else self._streams
        usual = known.p95 or known.longest
        if usual is None:
            return math.inf if whole else PATIENCE
        return max(SHORTEST_PATIENCE, usual)

    def exceeded(self, sample: Sample) -> bool:
        """Say whether an attempt that was given up had waited for longer than usual."""
        waited = sample.latency
        if sample.first_event is not None or waited is None:
            return False
        return waited > self.seconds(whole=sample.whole)
