"""What each deployment has shown of itself, attempt by attempt.

Reports show all of it, and `lowest_latency` goes by the time to the first event; breakers keep
counts of their own. Latencies are peak EWMAs (Finagle): a worse sample counts at once, better
ones pull it down over `TAU` seconds. Failures are a penalty on top, which fades by itself.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

import msgspec

from .causes import RULES, Cause

TAU: Final = 10.0  # seconds; the decay that Finagle's and Linkerd's peak EWMA default to
# Seconds that a failure counts as: a deployment that fails at once would otherwise look like the
# fastest of all and attract the traffic it fails.
PENALTY: Final = 5.0
WORST: Final = 300.0
# Seconds after the last failure until it is forgotten: as long as a breaker's slow start takes by
# default.
FADE: Final = 10.0
SHORTEST: Final = 0.001  # seconds; below this all are equally fast


class Sample(msgspec.Struct, frozen=True, gc=False):
    """How one attempt went. `cause` None is success; times are seconds, None if never reached.

    Of an attempt that failed before its answer was shown there may be the answer's `status`, the
    `retry_after` that it asked for, in seconds, and an `error` for people, without any of a key.
    `whole` says that no stream was asked for: the first event is then the end of the answer.
    """

    cause: Cause | None
    latency: float | None = None
    first_event: float | None = None
    status: int | None = None
    retry_after: float | None = None
    error: str = ""
    whole: bool = False


class KeyStatus(msgspec.Struct, frozen=True):
    """One key of a deployment. `rests` is for how many seconds it is still left alone.

    Without the reason of a refusal: a provider's words may quote a part of the key.
    """

    label: str
    refused: bool
    rests: float


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one deployment is like at a moment. `name` is "provider/model", `state` a breaker's.

    `first_event` is the average in seconds, None before the first one. Counts are since the
    process started. `drained` is for how many seconds more an operator has taken it out.
    """

    name: str
    state: str
    available: bool
    in_flight: int
    attempts: int
    failures: dict[str, int]
    consecutive_failures: int
    first_event: float | None
    opens: int
    rejected: int
    retries_in_flight: int
    retry_budget_exhausted: int
    keys: list[KeyStatus]
    drained: float | None = None


class PeakEwma:
    """A moving average that believes bad news at once. `at` is when it was last fed.

    Failures are kept apart from it. What they count as is made up, and in the average it would be
    with us long after they are over: 300 s take more than a minute to decay to half a second.
    """

    __slots__ = ("_failed_at", "_penalty", "at", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        self.at = 0.0
        self._penalty = 0.0
        self._failed_at = -math.inf

    def __repr__(self) -> str:
        return f"<PeakEwma {self.value}, penalty {self._penalty:g}>"

    def add(self, sample: float, now: float) -> None:
        if self.value is None or sample > self.value:
            self.value = sample
        else:
            keep = math.exp(-max(0.0, now - self.at) / TAU)
            self.value = sample + (self.value - sample) * keep
        self.at = now

    def penalise(self, now: float, waited: float | None = None) -> None:
        """Take note of a failure, or of an answer that was `waited` for in vain."""
        last = self._penalty if now - self._failed_at < FADE else 0.0
        if waited is None:
            # Worse each time: beside busy ones five seconds would look good again.
            self._penalty = min(WORST, max(PENALTY, 2.0 * max(last, self.value or 0.0)))
        else:
            # It would have taken longer still.
            self._penalty = max(last, waited)
        self._failed_at = now

    def forgive(self) -> None:
        """Forget the failures: from now on the slow start of a breaker says what it may have."""
        self._penalty = 0.0

    def expected(self, seconds: float, now: float) -> float:
        """Return how long it is expected to take if `seconds` is what it takes by itself.

        After a failure its share of the traffic, which goes by the inverse, grows evenly from
        nearly nothing to all of it within `FADE`.
        """
        if self._penalty <= seconds:
            return seconds
        grown = (now - self._failed_at) / FADE
        if grown >= 1.0:
            self._penalty = 0.0
            return seconds
        return 1.0 / ((1.0 - grown) / self._penalty + grown / max(SHORTEST, seconds))


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
            # Cut off by a caller that left, say: how long that took says nothing of the provider.
            return
        # A refusal of a bad request resets the count as well: the provider is alive.
        self.consecutive_failures = self.consecutive_failures + 1 if failure else 0
        if sample.latency is not None:
            self.latency.add(sample.latency, now)
        if sample.first_event is not None:
            self.first_event.add(sample.first_event, now)

    def judge_speed(
        self, sample: Sample, now: float, *, failed: bool, soft: bool, counts: bool
    ) -> None:
        """Take note of what an attempt that did not succeed says of its time to a first event."""
        usual, waited = self.first_event, sample.latency or 0.0
        if failed:
            usual.penalise(now, waited if soft else None)
        elif counts and sample.cause is Cause.HEDGED and waited > (usual.value or 0.0):
            # It would have taken longer still.
            usual.add(waited, now)

    def forgive(self) -> None:
        """Forget that the last attempts failed."""
        self.consecutive_failures = 0
        self.first_event.forgive()
