"""Which deployment a request tries next, and when. Decides; `proxy/attempts/attempt.py` acts.

    the same route once more, if its idle connection had been closed
    another key of the same route, if its key was at fault
    the model's routes in the strategy's order, each once, without a wait
    the last of them once more, before the fallbacks, if its trouble may have passed already
    the routes of its fallbacks, each once, without a wait    a fallback costs no time
    then again, the least tried first, after a wait    full jitter, Retry-After as a floor

until one commits, `max_attempts` are spent, no target is left, or time is short. A silent
target is not tried again while another exists: it has shown that it can cost a whole
`first_event` timeout.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import accumulate
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from .backoff import Rng, full_jitter, no_earlier
from .causes import RULES, Again, AttemptFailure, Cause, Stop, Try
from .retry_budget import RetryBudgetPolicy
from .timeouts import Seconds, overridden

# What is often over with the next request: another worker behind the same address answers it.
PASSING: Final = frozenset({Cause.SERVER_ERROR, Cause.CONNECTION_LOST, Cause.STREAM_ERROR})
# What an attempt was made with was out of date, and another one is at hand.
_RENEWED: Final = frozenset({Cause.STALE_CONNECTION, Cause.STALE_CREDENTIAL})
# Seconds at most before the quick retry: nothing that a caller would feel, and enough for a load
# balancer to turn elsewhere.
QUICK_WAIT: Final = 0.1


class RetryPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How attempts follow one another.

    max_attempts      attempts of one request, over all its routes
    per_target        retries of one route: it sees at most one attempt more than this
    base, cap         seconds of the backoff, U(0, min(cap, base * 2^n)); openai-python's own
    max_retry_after   seconds; a provider that asks for more is left alone by this request
    min_attempt_time  seconds that must be left for a try after a silent provider, or a quarter
                      of the request's time if that is less
    quick_retry       one more attempt at once on a model's own route, after a 5xx or a lost
                      connection, before its fallbacks are asked
    budget            what keeps retries from multiplying the load of a deployment in trouble
    """

    max_attempts: Annotated[int, Meta(ge=1, le=20)] = 3
    per_target: Annotated[int, Meta(ge=0, le=20)] = 2
    base: Seconds = 0.5
    cap: Seconds = 8.0
    max_retry_after: Seconds = 60.0
    min_attempt_time: Seconds = 10.0
    quick_retry: bool = True
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
    quick_retry: bool | None = None


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
        self._renewed: set[tuple[int, Cause]] = set()  # where what had aged was replaced
        self._quickened: set[int] = set()  # groups that had their quick retry
        self._not_before: dict[int, float] = {}
        self._first_group = 0
        self._after_silence = False
        self._began = 0.0
        self._past = 0.0  # the deadline that has passed

    def __repr__(self) -> str:
        return f"<Attempts {self._tries} of {self._policy.max_attempts}>"

    def first(self, now: float, rng: Rng) -> Try | Stop:
        """Return the first attempt; to be called once, before all others."""
        self._began = now
        return self._next(now, rng)

    def beside(
        self, running: Collection[int], now: float, rng: Rng, *, fallbacks: bool = False
    ) -> Try | None:
        """Return an attempt to make while those on `running` are under way; None if there is none.

        Only on a target that was not tried: a second attempt on one would be as slow as the
        first. On one of another model only if `fallbacks` may be asked like this.
        """
        step = self._next(now, rng)
        if not isinstance(step, Try):
            return None
        groups = {self._group(target) for target in running}
        again = self._tries[step.target] > 1 or step.target in running
        if again or not (fallbacks or self._group(step.target) in groups):
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
        elif failure.cause is Cause.TOTAL_TIMEOUT:
            return self._elsewhere(failure.target, now, rng)
        elif rule.again is Again.NOWHERE:
            return Stop.REJECTED
        renewed = (failure.target, failure.cause)
        if failure.cause in _RENEWED and renewed not in self._renewed:
            self._renewed.add(renewed)
            return self._stay(failure.target, now)
        if failure.probe:
            # It was asked for the breaker's sake, before others that are known to be well. Now
            # the breaker is open again.
            self._made -= 1
            self._out.add(failure.target)
        if failure.another_key and not (failure.probe or self._rather_elsewhere(failure.target)):
            self._stayed.add(failure.target)
            return self._stay(failure.target, now)
        if failure.another_key:
            self._not_before.pop(failure.target, None)
        else:
            self._note(failure, now, rng)
        self._after_silence = failure.cause in (Cause.FIRST_EVENT_TIMEOUT, Cause.IDLE_TIMEOUT)
        return self._quick(failure, now, rng) or self._next(now, rng)

    def _stay(self, target: int, now: float) -> Try | Stop:
        """Return an attempt on the same target at once, which is no retry of it."""
        if self._made >= self._policy.max_attempts:
            return Stop.EXHAUSTED
        if now >= self._deadline(target):
            return Stop.OUT_OF_TIME
        self._made += 1
        return Try(target)

    def _elsewhere(self, target: int, now: float, rng: Rng) -> Try | Stop:
        """Return an attempt on a target that has more time than `target`, whose time is up."""
        self._past = self._deadline(target)
        self._after_silence = True
        step = self._next(now, rng)
        return step if isinstance(step, Try) else Stop.OUT_OF_TIME

    def _quick(self, failure: AttemptFailure, now: float, rng: Rng) -> Try | None:
        """Return the quick retry of the model that is about to be left; None if it gets none."""
        target, policy = failure.target, self._policy
        group = self._group(target)
        if not policy.quick_retry or failure.cause not in PASSING or group in self._quickened:
            return None
        if self._tries[target] > policy.per_target or not self._eligible(target):
            return None
        # The fallback must not be lost to it.
        if policy.max_attempts - self._made < 2:
            return None
        best = next(self._candidates(), None)
        if best is None or self._tries[best] or self._group(best) == group:
            return None
        asked = self._not_before.get(target, now) - now
        wait = max(QUICK_WAIT * rng(), asked)
        if asked > QUICK_WAIT or now + wait >= self._deadline(target):
            return None
        self._quickened.add(group)
        self._made += 1
        self._tries[target] += 1
        return Try(target, wait)

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
        if target in self._out or (self._past and self._deadline(target) <= self._past):
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
