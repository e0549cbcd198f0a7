"""What each deployment has shown of itself, attempt by attempt.

Reports show all of it, and `lowest_latency` goes by the time to the first event; breakers keep
counts of their own. Latencies are peak EWMAs (Finagle): a worse sample counts at once, better
ones pull it down over `TAU` seconds.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

import msgspec

from .causes import RULES, Cause

TAU: Final = 10.0  # seconds; the decay that Finagle's and Linkerd's peak EWMA default to


class Sample(msgspec.Struct, frozen=True, gc=False):
    """How one attempt went. `cause` None is success; times are seconds, None if never reached."""

    cause: Cause | None
    latency: float | None = None
    first_event: float | None = None


class PeakEwma:
    """A moving average that believes bad news at once. `at` is when it was last fed."""

    __slots__ = ("at", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        self.at = 0.0

    def add(self, sample: float, now: float) -> None:
        if self.value is None or sample > self.value:
            self.value = sample
        else:
            keep = math.exp(-max(0.0, now - self.at) / TAU)
            self.value = sample + (self.value - sample) * keep
        self.at = now


class AttemptStats:
    """One deployment's record."""

    def __init__(self) -> None:
        self.attempts = 0
        self.failures: Counter[Cause] = Counter()
        self.consecutive_failures = 0
        self.latency = PeakEwma()
        self.first_event = PeakEwma()

    def add(self, sample: Sample, now: float) -> None:
        self.attempts += 1
        failure: bool | None = False
        if sample.cause is not None:
            self.failures[sample.cause] += 1
            failure = RULES[sample.cause].failure
        if failure is None:
            # Cut off by a caller who left, say: how long that took is no news of the provider.
            return
        # A refusal of a bad request resets the count as well: the provider is alive.
        self.consecutive_failures = self.consecutive_failures + 1 if failure else 0
        if sample.latency is not None:
            self.latency.add(sample.latency, now)
        if sample.first_event is not None:
            self.first_event.add(sample.first_event, now)
