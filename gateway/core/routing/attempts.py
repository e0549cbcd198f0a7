"""Which deployment a request tries next, and when. Decides; `proxy/attempts/attempt.py` acts.

    another key of the same route, if its key was at fault
    routes in the strategy's order, each once, without a wait    a fallback costs no time
    then again, the least tried first, after a wait    full jitter, Retry-After as a floor

until one commits, `max_attempts` are spent, no target is left, or time is short. A silent
target is not tried again while another exists: it has shown that it can cost a whole
`first_event` timeout.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import accumulate
from typing import Annotated

import msgspec
from msgspec import Meta

from .backoff import Rng, full_jitter, no_earlier
from .causes import RULES, Again, Cause
from .retry_budget import RetryBudgetPolicy
from .timeouts import Seconds, overridden


class RetryPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How attempts follow one another.

    max_attempts      attempts of one request, over all its routes
    per_target        retries of one route: it sees at most one attempt more than this
    base, cap         seconds of the backoff, U(0, min(cap, base * 2^n)); openai-python's own
    max_retry_after   seconds; a provider that asks for more is left alone by this request
    min_attempt_time  seconds that must be left for a try after a silent provider, or a quarter
                      of the request's time if that is less
    budget            what keeps retries from multiplying the load of a deployment in trouble
    """

    max_attempts: Annotated[int, Meta(ge=1, le=20)] = 3
    per_target: Annotated[int, Meta(ge=0, le=20)] = 2
    base: Seconds = 0.5
    cap: Seconds = 8.0
    max_retry_after: Seconds = 60.0
    min_attempt_time: Seconds = 10.0
    budget: RetryBudgetPolicy = RetryBudgetPolicy()

    def override(self, other: RetryOverrides) -> RetryPolicy:
        """Return this policy with what `other` sets."""
        return overridden(self, other)


class RetryOverrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Like `RetryPolicy`, for one model; what is absent is inherited."""

    max_attempts: Annotated[int, Meta(ge=1, le=20)] | None = None
    per_target: Annotated[int, Meta(ge=0, le=20)] | None = None
    base: Seconds | None = None
    cap: Seconds | None = None
    max_retry_after: Seconds | None = None
    min_attempt_time: Seconds | None = None


class Try(msgspec.Struct, frozen=True):
    """Start an attempt on target number `target` after `wait` seconds."""

    target: int
    wait: float = 0.0


class Stop(enum.Enum):
    """There is no further attempt."""

    REJECTED = "rejected"  # the provider's answer stands
    EXHAUSTED = "exhausted"  # attempts or targets are spent
    OUT_OF_TIME = "out_of_time"  # the deadline leaves no room


class AttemptFailure(msgspec.Struct, frozen=True):
    """How the attempt on `target` ended.

    `retry_after` is what the provider asked for. `another_key` says that only the key was at
    fault, and that the target has one more; `probe` that a breaker had let it through as one.
    """

    target: int
    cause: Cause
    retry_after: float | None = None
    another_key: bool = False
    probe: bool = False


class Attempts:
    """The attempts of one request.

    order      the targets' numbers, best first; taken from it only as far as needed
    deadline   a target's own end of the request
    groups     how many targets each model has: its own routes first, then each fallback's
    switch_on  refusals of the request itself after which another model is asked
    """

    def __init__(
        self,
        policy: RetryPolicy,
        order: Iterator[int],
        deadline: Callable[[int], float],
        *,
        groups: Sequence[int] = (),
        switch_on: frozenset[Cause] = frozenset(),
    ) -> None:
        self._policy = policy
        self._order = order
        self._deadline = deadline
        self._groups = groups
        self._switch_on = switch_on
        self._made = 0
        self._tries: dict[int, int] = {}  # of those taken from the order, in that order
        self._silent: set[int] = set()
        self._out: set[int] = set()
        self._stayed: set[int] = set()  # where a second key has been tried
        self._not_before: dict[int, float] = {}
        self._first_group = 0
        self._after_silence = False
        self._began = 0.0

    def __repr__(self) -> str:
        return f"<Attempts {self._tries} of {self._policy.max_attempts}>"

    def first(self, now: float, rng: Rng) -> Try | Stop:
        """Return the first attempt; to be called once, before all others."""
        self._began = now
        return self._next(now, rng)

    def beside(self, running: Collection[int], now: float, rng: Rng) -> Try | None:
        """Return an attempt to make while those on `running` are under way; None if there is none.

        Only on a target that was not tried: a second attempt on one would be as slow as the first.
        """
        step = self._next(now, rng)
        if not isinstance(step, Try):
            return None
        groups = {self._group(target) for target in running}
        again = self._tries[step.target] > 1 or step.target in running
        if again or self._group(step.target) not in groups:
            self.take_back(step)
            return None
        return step

    def take_back(self, step: Try) -> None:
        """Undo `step`, which was not begun: its target may still be tried as if for the first time.

        A target that did not let its attempt through (`skip`) is not asked again.
        """
        self._made -= 1
        self._tries[step.target] -= 1

    def failed(self, failure: AttemptFailure, now: float, rng: Rng) -> None:
        """Take note of a failure that another attempt went on beside."""
        self._note(failure, now, rng)

    def skip(self, step: Try, now: float, rng: Rng) -> Try | Stop:
        """Say what follows if `step` was not let through: it was no attempt, and never will be."""
        self._made -= 1
        self._out.add(step.target)
        return self._next(now, rng)

    def after(self, failure: AttemptFailure, now: float, rng: Rng) -> Try | Stop:
        """Say what follows `failure`, which ended at `now`."""
        rule = RULES[failure.cause]
        if failure.cause in self._switch_on:
            self._first_group = max(self._first_group, self._group(failure.target) + 1)
        elif rule.again is Again.NOWHERE:
            timed_out = failure.cause is Cause.TOTAL_TIMEOUT
            return Stop.OUT_OF_TIME if timed_out else Stop.REJECTED
        if failure.probe:
            # It was asked for the breaker's sake, before others that are known to be well. Now
            # the breaker is open again.
            self._made -= 1
            self._out.add(failure.target)
        if failure.another_key and not (failure.probe or self._rather_elsewhere(failure.target)):
            if self._made >= self._policy.max_attempts:
                return Stop.EXHAUSTED
            if now >= self._deadline(failure.target):
                return Stop.OUT_OF_TIME
            self._made += 1
            self._stayed.add(failure.target)
            return Try(failure.target)
        if failure.another_key:
            self._not_before.pop(failure.target, None)
        else:
            self._note(failure, now, rng)
        self._after_silence = failure.cause in (Cause.FIRST_EVENT_TIMEOUT, Cause.IDLE_TIMEOUT)
        return self._next(now, rng)

    def _rather_elsewhere(self, target: int) -> bool:
        """Say whether to try another target before one more key of this one."""
        if target not in self._stayed:
            return False
        best = next(self._candidates(), None)
        return best is not None and not self._tries[best]

    def _next(self, now: float, rng: Rng) -> Try | Stop:
        if self._made >= self._policy.max_attempts:
            return Stop.EXHAUSTED
        late = False
        for target in self._candidates():
            wait = self._wait(target, now, rng)
            if now + wait + self._needed(target) < self._deadline(target):
                self._made += 1
                self._tries[target] += 1
                return Try(target, wait)
            late = True
        return Stop.OUT_OF_TIME if late else Stop.EXHAUSTED

    def _needed(self, target: int) -> float:
        """Return how many seconds must be left for an attempt on `target`.

        A request that has waited out a silent provider has little time left: better an honest
        timeout now than another one later. But a caller that gave little time to begin with
        wants every attempt that fits.
        """
        if not self._after_silence:
            return 0.0
        given = self._deadline(target) - self._began
        return min(self._policy.min_attempt_time, given / 4)

    def _note(self, failure: AttemptFailure, now: float, rng: Rng) -> None:
        target, rule = failure.target, RULES[failure.cause]
        if rule.silent:
            self._silent.add(target)
        if rule.again is Again.ELSEWHERE:
            self._out.add(target)
        if failure.retry_after is not None:
            if failure.retry_after > self._policy.max_retry_after:
                self._out.add(target)
            self._not_before[target] = now + no_earlier(failure.retry_after, rng)

    def _candidates(self) -> Iterator[int]:
        """Yield the targets that may be tried, best first."""
        for target, tries in self._tries.items():
            if not tries and self._eligible(target):
                yield target
        for target in self._order:
            self._tries[target] = 0
            if self._eligible(target):
                yield target
        again = [
            target
            for target, tries in self._tries.items()
            if 0 < tries <= self._policy.per_target and self._eligible(target)
        ]
        loud = [target for target in again if target not in self._silent]
        yield from sorted(loud or again, key=self._tries.__getitem__)

    def _eligible(self, target: int) -> bool:
        if target in self._out:
            return False
        return not self._first_group or self._group(target) >= self._first_group

    def _group(self, target: int) -> int:
        ends = list(accumulate(self._groups))
        return bisect_right(ends, target)

    def _wait(self, target: int, now: float, rng: Rng) -> float:
        retries = self._tries[target] - 1
        if retries < 0:
            return 0.0
        backoff = full_jitter(retries, self._policy.base, self._policy.cap, rng)
        return max(backoff, self._not_before.get(target, now) - now)
