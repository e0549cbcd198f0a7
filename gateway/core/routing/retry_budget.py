"""How much a deployment may be sent beyond first attempts, so that retries cannot drown it.

Two bounds, and a later attempt must pass both:

    rate          later attempts of a window <= ratio * its first attempts + a floor
    concurrency   later attempts in flight <= max(concurrent_min, concurrent_ratio * in flight)

The rate alone reacts late where one call lasts a minute: a window shorter than the calls
under-counts what is still to fail (zeromicro/go-zero issue 5011). Concurrency alone lets fast
failures turn over without end. Finagle and Linkerd have the first, Envoy the second.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated, Final

import msgspec
from msgspec import Meta

STEADY: Final = 0.1  # share of failures of a deployment that is not in trouble
BUCKETS: Final = 10  # a window is forgotten a tenth at a time
# 0.29 * 100 is a little less than 29.
ROUNDING: Final = 1e-9

Share = Annotated[float, Meta(ge=0, le=1)]


class RetryBudgetPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many later attempts a deployment may get: retries, fallbacks and hedges.

    ratio             later attempts allowed for each first attempt
    per_second        the floor, later attempts a second, however few first ones there are
    window            seconds until a first attempt counts no more. Finagle's 10 s are for
                      calls of milliseconds; these last up to minutes
    concurrent_ratio  later attempts in flight for each attempt in flight; Envoy's 20 %
    concurrent_min    later attempts that may always be in flight; Envoy's 3
    """

    ratio: Share = 0.2
    per_second: Annotated[float, Meta(ge=0)] = 1.0
    window: Annotated[float, Meta(ge=1)] = 60.0
    concurrent_ratio: Share = 0.2
    concurrent_min: Annotated[int, Meta(ge=0)] = 3


class RollingCount:
    """Counts over the last `window` seconds, give or take a tenth: nine buckets and a begun one.

    Buckets begin at multiples of their width, so counts of equal windows forget together.
    """

    __slots__ = ("_buckets", "_ends", "_tick", "_total", "_width")

    def __init__(self, window: float) -> None:
        self._width = window / BUCKETS
        self._buckets = deque([0] * BUCKETS, BUCKETS)
        self._total = 0
        self._tick = 0
        self._ends = self._width

    def __repr__(self) -> str:
        return f"<RollingCount {list(self._buckets)}>"

    def add(self, now: float) -> None:
        if now >= self._ends:
            self._roll(now)
        self._buckets[-1] += 1
        self._total += 1

    def total(self, now: float) -> int:
        if now >= self._ends:
            self._roll(now)
        return self._total

    def clear(self) -> None:
        self._buckets.extend([0] * BUCKETS)
        self._total = 0

    def _roll(self, now: float) -> None:
        tick = int(now / self._width)
        # Rounding may leave `now` at an end and yet in its bucket: then nothing moves.
        for _ in range(min(tick - self._tick, BUCKETS)):
            self._total -= self._buckets[0]
            self._buckets.append(0)
        self._tick = tick
        self._ends = (tick + 1) * self._width


class RetryBudget:
    """One deployment's budget, charged by the attempts that are sent to it.

    It also counts how attempts end (`note`) where the breaker is switched off and does not.
    """

    __slots__ = (
        "_ended",
        "_failed",
        "_first",
        "_later",
        "_policy",
        "exhausted",
        "retries_in_flight",
    )

    def __init__(self, policy: RetryBudgetPolicy) -> None:
        self._policy = policy
        self._begin(policy.window)
        self.retries_in_flight = 0
        self.exhausted = 0  # refusals, ever

    def __repr__(self) -> str:
        return f"<RetryBudget {self.retries_in_flight} in flight, {self.exhausted} refused>"

    @property
    def policy(self) -> RetryBudgetPolicy:
        return self._policy

    @policy.setter
    def policy(self, policy: RetryBudgetPolicy) -> None:
        if policy.window != self._policy.window:
            # What the old buckets hold has no place in the new ones.
            self._begin(policy.window)
        self._policy = policy

    def deposit(self, now: float) -> None:
        """Count a first attempt. A caller's own retry is none: it must not earn another."""
        self._first.add(now)

    def withdraw(self, now: float, in_flight: int) -> bool:
        """Say whether a later attempt may go to this deployment, and count it if so.

        `in_flight` is how many attempts of any kind are under way there. A granted attempt must
        `finish` when it ends.
        """
        policy = self._policy
        within = max(policy.concurrent_min, policy.concurrent_ratio * in_flight + ROUNDING)
        if self.retries_in_flight + 1 > within or self._balance(now) < 1 - ROUNDING:
            self.exhausted += 1
            return False
        self._later.add(now)
        self.retries_in_flight += 1
        return True

    def finish(self) -> None:
        """End a later attempt that was granted."""
        assert self.retries_in_flight > 0
        self.retries_in_flight -= 1

    def note(self, failed: bool, now: float) -> None:
        """Take note of how an attempt of any kind has ended."""
        self._ended.add(now)
        if failed:
            self._failed.add(now)

    def steady(self, now: float) -> bool:
        """Say whether nearly all that ended, as far as that was noted, ended well."""
        return self._failed.total(now) <= STEADY * self._ended.total(now)

    def _begin(self, window: float) -> None:
        self._first = RollingCount(window)
        self._later = RollingCount(window)
        self._ended = RollingCount(window)
        self._failed = RollingCount(window)

    def _balance(self, now: float) -> float:
        policy = self._policy
        # Finagle's reserve: the floor is there from the start, so a fresh budget grants a
        # window's worth of it. Withdrawals expire with the deposits they were made from, or
        # later: none is spent twice.
        reserve = policy.per_second * policy.window
        return reserve + policy.ratio * self._first.total(now) - self._later.total(now)
