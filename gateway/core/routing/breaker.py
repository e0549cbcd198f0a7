"""A circuit breaker for one deployment, so that a sick one costs no caller time or money.

    CLOSED --TRIPPED--> OPEN --COOLED--> HALF_OPEN --PROVED--> CLOSED
                         ^                   |
                         +------TRIPPED------+

CLOSED     attempts pass. Failures in a row trip it, or a high rate of them in a rolling window.
OPEN       nothing passes for a while, and longer each time in a row.
HALF_OPEN  one attempt at a time passes, as a probe: a provider that recovers must not be met by
           all that waited. Enough good probes close the breaker, a bad one opens it again.

There are no timers: the next attempt that asks finds out that an open breaker has cooled.
Attempts that began before it opened and end after that tell of the past and change nothing.
"""

from __future__ import annotations

import enum
import math
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from .backoff import Rng
from .retry_budget import STEADY, RollingCount

LONGEST_RETRY_AFTER: Final = 300.0  # seconds that a provider can keep a breaker open for
HEALTHY: Final = 30.0  # closed so many seconds takes back one doubling, as in Envoy
PROBE_GUESS: Final = 1.0  # seconds until a probe under way may have ended: a guess
COLDEST: Final = 0.1  # of the weight, after closing; Envoy's `min_weight_percent`


class BreakerPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a breaker opens, and how it closes again.

    consecutive_failures  failures in a row that open it; Envoy's 5
    failure_rate          share of failures that opens it, of at least `min_requests` requests
                          in `window` seconds
    open_time             seconds it stays open at first; doubles each time in a row up to...
    max_open_time         ...this, before a jitter of a fifth either way
    successes             good probes that close it
    slow_start            seconds until a closed one has its full weight again; 0 is off

    A provider that is back must serve again within 30 s: 18 s with the jitter and 10 s of slow
    start leave two for the probes.
    """

    enabled: bool = True
    consecutive_failures: Annotated[int, Meta(ge=1)] = 5
    failure_rate: Annotated[float, Meta(gt=0, le=1)] = 0.5
    min_requests: Annotated[int, Meta(ge=1)] = 20
    window: Annotated[float, Meta(ge=1)] = 30.0
    open_time: Annotated[float, Meta(ge=0.01)] = 5.0
    max_open_time: Annotated[float, Meta(ge=0.01, le=3600)] = 15.0
    successes: Annotated[int, Meta(ge=1)] = 2
    slow_start: Annotated[float, Meta(ge=0)] = 10.0


class BreakerState(enum.Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerEvent(enum.Enum):
    TRIPPED = "tripped"
    COOLED = "cooled"
    PROVED = "proved"


TRANSITIONS: Final[dict[BreakerState, dict[BreakerEvent, BreakerState]]] = {
    BreakerState.CLOSED: {BreakerEvent.TRIPPED: BreakerState.OPEN},
    BreakerState.OPEN: {BreakerEvent.COOLED: BreakerState.HALF_OPEN},
    BreakerState.HALF_OPEN: {
        BreakerEvent.PROVED: BreakerState.CLOSED,
        BreakerEvent.TRIPPED: BreakerState.OPEN,
    },
}


class Permit(enum.Enum):
    """What an attempt was let through as; `leave` takes it back."""

    NORMAL = "normal"
    PROBE = "probe"


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

    def available(self, now: float) -> bool:
        """Say whether `enter` would let an attempt through."""
        return self.closed or self.probe_due(now)

    def probe_due(self, now: float) -> bool:
        """Say whether the next attempt would be a probe."""
        waiting = now >= self._until and not self._probing
        return waiting and self._state is not _CLOSED and self._policy.enabled

    def retry_at(self, now: float) -> float | None:
        """Return when another attempt is worth asking for; None if at once."""
        if self.available(now):
            return None
        return max(self._until, now + PROBE_GUESS) if self._probing else self._until

    def factor(self, now: float) -> float:
        """Return what to multiply the weight with: 1, or 0.1 after closing and rising."""
        policy, warm = self._policy, now - self._closed_at
        if warm >= policy.slow_start or not (policy.slow_start and policy.enabled):
            return 1.0
        return max(COLDEST, warm / policy.slow_start)

    def steady(self, now: float) -> bool:
        """Say whether it serves nearly all that it is sent."""
        return self.closed and self._failures.total(now) <= STEADY * self._requests.total(now)

    @property
    def ejected_by_rate(self) -> bool:
        """Say whether the rate rule took it out, which pools limit, and it is not back yet."""
        return self._by_rate and self._state is not _CLOSED and self._policy.enabled

    # What attempts do...

    def enter(self, now: float) -> Permit | None:
        """Let an attempt through, or return None. A permit must come back through `leave`."""
        if self._state is _CLOSED or not self._policy.enabled:
            return _NORMAL
        if not self.probe_due(now):
            self.rejected += 1
            return None
        if self._cooled(now):
            self._fire(BreakerEvent.COOLED)
        self._probing = True
        self._generation = self.opens
        return Permit.PROBE

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
        own: tuple[int, int] = (0, 0),
        soft: bool = False,
        started: float | None = None,
    ) -> None:
        """Take back a permit, and note how the attempt ended.

        `failed` is None if it says nothing about the provider. `retry_after` is the seconds that
        it asked for, which extend the open time. `by_rate` or `by_row` False keeps that rule from
        opening it. `own` are the requests and failures of the caller who fails most: if most
        failures are its, the rate must be too high without it as well. Two `soft` failures are
        one in a row. What began, at `started`, before the breaker last closed does not fail it.
        """
        if permit is not _NORMAL:
            self._end_probe(failed, now, rng, retry_after or 0.0)
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
        by_row &= self._in_a_row >= policy.consecutive_failures
        if by_row or (by_rate and self._too_many(now, own)):
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

    def _cooled(self, now: float) -> bool:
        return self._state is BreakerState.OPEN and now >= self._until

    def _too_many(self, now: float, own: tuple[int, int]) -> bool:
        requests, failures = self._requests.total(now), self._failures.total(now)
        # A division, since 0.55 * 20 is a little more than 11, but 11 / 20 is 0.55.
        least, few = self._policy.failure_rate, requests < self._policy.min_requests
        if few or failures / requests < least or 2 * own[1] <= failures:
            return not few and failures / requests >= least
        return requests > own[0] and (failures - own[1]) / (requests - own[0]) >= least

    def _end_probe(self, failed: bool | None, now: float, rng: Rng, at_least: float) -> None:
        self._probing = False  # also if a health probe has tripped the breaker during this one
        if failed is None or self._generation != self.opens or not self._policy.enabled:
            return
        if failed:
            self._open(now, rng, at_least, by_rate=self._by_rate)
            return
        self._proofs += 1
        if self._proofs >= self._policy.successes:
            self._fire(BreakerEvent.PROVED)
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
        self._fire(BreakerEvent.TRIPPED)
        self.opens += 1
        self._until, self._by_rate, self._proofs = now + wait, by_rate, 0
        # What led to this must not lead to it again once it has closed.
        self._in_a_row = 0.0
        self._requests.clear()
        self._failures.clear()

    def _fire(self, event: BreakerEvent) -> None:
        self._state = TRANSITIONS[self._state][event]
