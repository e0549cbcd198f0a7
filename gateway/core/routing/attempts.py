"""Which deployment a request tries next, and when. Decides; `proxy/attempt.py` acts.

    routes in order, each once and without a wait      a fallback costs no time
    then again, the least tried first, after a wait    full jitter, Retry-After as a floor

until one commits, `max_attempts` are spent, no target is left, or time is short. A silent
target is not tried again while another exists: it has shown that it can cost a whole
`first_event` timeout.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from .backoff import Rng, full_jitter, no_earlier
from .causes import RULES, Again, Cause

Seconds = Annotated[float, Meta(ge=0)]


class RetryPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How attempts follow one another.

    max_attempts      attempts of one request, over all its routes
    per_target        retries of one route: it sees at most one attempt more than this
    base, cap         seconds of the backoff, U(0, min(cap, base * 2^n)); openai-python's own
    max_retry_after   seconds; a provider that asks for more is left alone by this request
    min_attempt_time  seconds that must be left for a try after a silent provider
    """

    max_attempts: Annotated[int, Meta(ge=1, le=20)] = 3
    per_target: Annotated[int, Meta(ge=0, le=20)] = 2
    base: Seconds = 0.5
    cap: Seconds = 8.0
    max_retry_after: Seconds = 60.0
    min_attempt_time: Seconds = 10.0


class Try(msgspec.Struct, frozen=True):
    """Start an attempt on target number `target` after `wait` seconds."""

    target: int
    wait: float = 0.0


class Stop(enum.Enum):
    """There is no further attempt."""

    REJECTED = "rejected"  # the provider's answer stands
    EXHAUSTED = "exhausted"  # attempts or targets are spent
    OUT_OF_TIME = "out_of_time"  # the deadline leaves no room


class Failure(msgspec.Struct, frozen=True):
    """How the attempt on `target` ended. `retry_after` is what the provider asked for."""

    target: int
    cause: Cause
    retry_after: float | None = None


class Attempts:
    """The attempts of one request. `deadlines` holds each target's own end of the request."""

    def __init__(self, policy: RetryPolicy, deadlines: Sequence[float]) -> None:
        self._policy = policy
        self._deadlines = deadlines
        self._tries = [0] * len(deadlines)
        self._silent = [False] * len(deadlines)
        self._out = [False] * len(deadlines)
        self._not_before = [0.0] * len(deadlines)

    def __repr__(self) -> str:
        return f"<Attempts {self._tries} of {self._policy.max_attempts}>"

    def first(self) -> Try:
        """Return the first attempt, which nothing precedes."""
        self._tries[0] = 1
        return Try(target=0)

    def after(self, failure: Failure, now: float, rng: Rng) -> Try | Stop:
        """Say what follows `failure`, which ended at `now`."""
        rule = RULES[failure.cause]
        if rule.again is Again.NOWHERE:
            timed_out = failure.cause is Cause.TOTAL_TIMEOUT
            return Stop.OUT_OF_TIME if timed_out else Stop.REJECTED
        self._note(failure, now, rng)
        if sum(self._tries) >= self._policy.max_attempts:
            return Stop.EXHAUSTED
        # Whoever waited out a silent provider has little left: better an honest timeout now
        # than another one later.
        slow = failure.cause in (Cause.FIRST_EVENT_TIMEOUT, Cause.IDLE_TIMEOUT)
        needed = self._policy.min_attempt_time if slow else 0.0
        late = False
        for target in self._candidates():
            wait = self._wait(target, now, rng)
            if now + wait + needed < self._deadlines[target]:
                self._tries[target] += 1
                return Try(target, wait)
            late = True
        return Stop.OUT_OF_TIME if late else Stop.EXHAUSTED

    def _note(self, failure: Failure, now: float, rng: Rng) -> None:
        target, rule = failure.target, RULES[failure.cause]
        self._silent[target] |= rule.silent
        self._out[target] |= rule.again is Again.ELSEWHERE
        if failure.retry_after is not None:
            if failure.retry_after > self._policy.max_retry_after:
                self._out[target] = True
            self._not_before[target] = now + no_earlier(failure.retry_after, rng)

    def _candidates(self) -> list[int]:
        """Return the targets that may be tried, best first."""
        open_targets = [
            target
            for target, tries in enumerate(self._tries)
            if not self._out[target] and tries <= self._policy.per_target
        ]
        loud = [target for target in open_targets if not self._silent[target]]
        return sorted(loud or open_targets, key=lambda target: (self._tries[target], target))

    def _wait(self, target: int, now: float, rng: Rng) -> float:
        retries = self._tries[target] - 1
        if retries < 0:
            return 0.0
        backoff = full_jitter(retries, self._policy.base, self._policy.cap, rng)
        return max(backoff, self._not_before[target] - now)
