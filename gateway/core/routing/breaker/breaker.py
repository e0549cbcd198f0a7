"""A circuit breaker for one deployment, so that a sick one costs no caller time or money.

`states.py` draws the machine. There are no timers: the next attempt that asks finds out that an
open breaker has cooled. Attempts that began before it opened and end after that tell of the past
and change nothing.
"""

from __future__ import annotations

import math
from typing import Final

from ..backoff import Rng
from ..retry_budget import STEADY, RollingCount
from .policy import BreakerPolicy
from .rates import Tally, calm, rate_too_high, too_many_in_a_row
from .states import TRANSITIONS, BreakerEvent, BreakerState, Permit
from .throttle import Throttle, seen_so_far

LONGEST_RETRY_AFTER: Final = 300.0  # seconds that a provider can keep a breaker open for
HEALTHY: Final = 30.0  # closed so many seconds takes back one doubling, as in Envoy
PROBE_GUESS: Final = 1.0  # seconds until a probe under way may have ended: a guess
COLDEST: Final = 0.1  # of the weight, after closing; Envoy's `min_weight_percent`

# Looking up a member of an Enum costs more than all else that a closed breaker does.
_CLOSED: Final = BreakerState.CLOSED
_NORMAL: Final = Permit.NORMAL


class Breaker:
    """Lets attempts `enter`, and learns from how they `leave`."""

    __slots__ = (
        "_by_rate",
        "_closed_at",
        "_failures",
        "_generation",
        "_in_a_row",
        "_level",
        "_policy",
        "_probing",
        "_proofs",
        "_requests",
        "_state",
        "_throttle",
        "_until",
        "opens",
        "rejected",
    )

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._state = BreakerState.CLOSED
        self._in_a_row = 0.0
        self._requests = RollingCount(policy.window)
        self._failures = RollingCount(policy.window)
        self._level = 0  # how often in a row it has opened, as far as that matters
        self._by_rate = False
        # Never closed, so never cold: otherwise every breaker would be at process start.
        self._until = self._closed_at = -math.inf
        self._probing, self._proofs = False, 0
        self._generation = 0  # `opens` when the probe under way was sent
        self._throttle: Throttle | None = None  # once it has opened
        self.opens = self.rejected = 0

    def __repr__(self) -> str:
        probe = ", probing" if self._probing else ""
        return (
            f"<Breaker {self._state.value}, {self._in_a_row:g} failed, {self.opens} opens{probe}>"
        )

    @property
    def policy(self) -> BreakerPolicy:
        return self._policy

    @policy.setter
    def policy(self, policy: BreakerPolicy) -> None:
        if policy.window != self._policy.window:
            # What the old buckets hold has no place in the new ones.
            self._requests = RollingCount(policy.window)
            self._failures = RollingCount(policy.window)
        self._policy = policy

    # What strategies and reports ask...

    @property
    def closed(self) -> bool:
        return self._state is _CLOSED or not self._policy.enabled

    def state(self, now: float) -> BreakerState:
        if not self._policy.enabled:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._cooled(now) else self._state

    def available(self, now: float, *, alone: bool = False) -> bool:
        """Say whether `enter` would let an attempt through; `alone` as there."""
        if self.closed or self.probe_due(now):
            return True
        return alone and self._throttle is not None and self._throttle.passes(now)

    def probe_due(self, now: float) -> bool:
        """Say whether the next attempt would be a probe."""
        waiting = now >= self._until and not self._probing
        return waiting and self._state is not _CLOSED and self._policy.enabled

    def retry_at(self, now: float, *, alone: bool = False) -> float | None:
        """Return when another attempt is worth asking for; None if at once."""
        if self.available(now, alone=alone):
            return None
        at = max(self._until, now + PROBE_GUESS) if self._probing else self._until
        if alone and self._throttle is not None:
            at = min(at, self._throttle.retry_at(now))
        return at

    def factor(self, now: float) -> float:
        """Return what to multiply the weight with: 1, or 0.1 after closing and rising."""
        policy, warm = self._policy, now - self._closed_at
        if warm >= policy.slow_start or not (policy.slow_start and policy.enabled):
            return 1.0
        return max(COLDEST, warm / policy.slow_start)

    def steady(self, now: float) -> bool:
        """Say whether it serves nearly all that it is sent."""
        return self.closed and self._failures.total(now) <= STEADY * self._requests.total(now)

    def served_well(self, now: float) -> bool:
        """Say whether it has served requests lately, and nearly all of them."""
        return self._requests.total(now) > self._failures.total(now) and self.steady(now)

    @property
    def ejected_by_rate(self) -> bool:
        """Say whether the rate rule took it out, which pools limit, and it is not back yet."""
        return self._by_rate and self._state is not _CLOSED and self._policy.enabled

    # What attempts do...

    def enter(self, now: float, *, alone: bool = False) -> Permit | None:
        """Let an attempt through, or return None. A permit must come back through `leave`.

        `alone` says that its request has no other deployment that would take it.
        """
        if self._state is _CLOSED or not self._policy.enabled:
            return _NORMAL
        throttle = self._throttle
        assert throttle is not None  # since it has opened
        if self.probe_due(now):
            if self._cooled(now):
                self._fire(BreakerEvent.COOLED)
            self._probing = True
            self._generation = self.opens
            # The probe is the next of the few that pass: no other does in the same moment.
            throttle.take(now)
            return Permit.PROBE
        if alone and throttle.passes(now):
            throttle.take(now)
            return Permit.THROTTLED
        self.turn_away(alone=alone)
        return None

    def turn_away(self, *, alone: bool = False) -> None:
        """Count an attempt that is not let through."""
        self.rejected += 1
        if alone and self._throttle is not None:
            self._throttle.refuse()

    def leave(
        self,
        permit: Permit,
        failed: bool | None,
        now: float,
        rng: Rng,
        *,
        retry_after: float | None = None,
        by_rate: bool = True,
        by_row: bool = True,
        alone: bool = False,
        own: tuple[int, int] = (0, 0),
        soft: bool = False,
        started: float | None = None,
    ) -> None:
        """Take back a permit, and note how the attempt ended.

        `failed` is None if it says nothing about the provider. `retry_after` is the seconds that
        it asked for, which extend the open time. `by_rate` or `by_row` False keeps that rule from
        opening it; `alone` says that there is no other deployment now, so that it opens later.
        `own` are the requests and failures of the caller who fails most: if most failures are its,
        the rate must be too high without it as well. Two `soft` failures are one in a row. What
        began, at `started`, before the breaker last closed does not fail it.
        """
        if permit is not _NORMAL and self._leave_open(permit, failed, now, rng, retry_after or 0.0):
            return
        policy = self._policy
        if failed is None or self._state is not _CLOSED or not policy.enabled:
            return
        if not failed:
            self._in_a_row = 0.0
            self._requests.add(now)
            return
        if started is not None and started < self._closed_at:
            return
        self._in_a_row += 0.5 if soft else 1.0
        self._requests.add(now)
        self._failures.add(now)
        tally = Tally(self._requests.total(now), self._failures.total(now), *own)
        by_row = by_row and too_many_in_a_row(policy, self._in_a_row, tally, alone=alone)
        if by_row or (by_rate and rate_too_high(policy, tally, alone=alone)):
            self._open(now, rng, retry_after or 0.0, by_rate=not by_row)

    # What active health probes do...

    def trip(self, now: float, rng: Rng) -> None:
        """Open it at once. One that is open already is left to cool."""
        if self._cooled(now):
            self._fire(BreakerEvent.COOLED)
        if self._policy.enabled and self._state is not BreakerState.OPEN:
            self._open(now, rng, 0.0, by_rate=False)

    def invite(self, now: float) -> None:
        """End the open time now: the next attempt is a probe, and decides."""
        self._until = min(self._until, now)

    # What operators do...

    def reset(self, now: float) -> None:
        """Close it, and forget what led to its opening."""
        if self._state is not _CLOSED:
            self._close(BreakerEvent.RECOVERED, now)
        self._in_a_row, self._level = 0.0, 0
        self._requests.clear()
        self._failures.clear()

    def _cooled(self, now: float) -> bool:
        return self._state is BreakerState.OPEN and now >= self._until

    def _leave_open(
        self, permit: Permit, failed: bool | None, now: float, rng: Rng, at_least: float
    ) -> bool:
        """Take back what was let through by a breaker that was not closed; say if that is all."""
        throttle, throttled = self._throttle, permit is Permit.THROTTLED
        assert throttle is not None  # since it has opened
        is_open = self._state is not _CLOSED and self._policy.enabled
        throttle.leave(now)
        if failed is not None and is_open:
            throttle.note(failed=failed)
        if failed and at_least:
            throttle.wait_until(now + min(at_least, LONGEST_RETRY_AFTER))
        if not throttled:
            self._end_probe(failed, now, rng, at_least)
        elif is_open and failed is False and calm(self._policy, throttle.good):
            self._close(BreakerEvent.RECOVERED, now)
        return not throttled or is_open

    def _end_probe(self, failed: bool | None, now: float, rng: Rng, at_least: float) -> None:
        self._probing = False  # also if a health probe has tripped the breaker during this one
        if failed is None or self._generation != self.opens or not self._policy.enabled:
            return
        if self._state is _CLOSED:
            return  # others have closed it meanwhile
        if failed:
            self._open(now, rng, at_least, by_rate=self._by_rate)
            return
        self._proofs += 1
        if self._proofs >= self._policy.successes:
            self._close(BreakerEvent.PROVED, now)

    def _close(self, event: BreakerEvent, now: float) -> None:
        self._fire(event)
        self._closed_at = now

    def _open(self, now: float, rng: Rng, at_least: float, *, by_rate: bool) -> None:
        policy = self._policy
        if self._state is _CLOSED and self._level:
            self._level = max(0, self._level - int((now - self._closed_at) / HEALTHY))
        # No further than to the cap, as Envoy: an hour's outage would take hours to forget.
        if policy.open_time * 2.0 ** (self._level - 1) < policy.max_open_time:
            self._level += 1
        longest = min(policy.max_open_time, policy.open_time * 2.0 ** (self._level - 1))
        # Jitter, so that several gateways do not probe in step.
        wait = max(longest * (0.8 + 0.4 * rng()), min(at_least, LONGEST_RETRY_AFTER))
        self._begin_throttle(now, at_least)
        self._fire(BreakerEvent.TRIPPED)
        self.opens += 1
        self._until, self._by_rate, self._proofs = now + wait, by_rate, 0
        # What led to this must not lead to it again once it has closed.
        self._in_a_row = 0.0
        self._requests.clear()
        self._failures.clear()

    def _begin_throttle(self, now: float, at_least: float) -> None:
        if self._state is not _CLOSED:
            # A probe has failed, which the throttle knows: it is one of many that pass.
            return
        good = seen_so_far(self._requests.total(now), self._failures.total(now), self._in_a_row)
        self._throttle = self._throttle or Throttle()
        self._throttle.begin(now, good, now + min(at_least, LONGEST_RETRY_AFTER))

    def _fire(self, event: BreakerEvent) -> None:
        self._state = TRANSITIONS[self._state][event]
