"""How long streams are silent between two pieces, counted for all streams of a process."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

# Seconds, inclusive. A model that is busy sends a token every 10 to 50 ms.
BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)


class GapCounts:
    """`counts` has one number for each bound and one for what is longer; `total` is in seconds.

    What arrives together counts as one piece.
    """

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def __repr__(self) -> str:
        return f"<GapCounts {sum(self.counts)} gaps in {self.total:.3f} s>"

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
