"""All that is known of one deployment while the gateway runs: what strategies and attempts ask.

It outlives every reload that keeps the deployment. Outside of `core/` and `state/` a target only
names its deployment: `Health` acts on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from .backoff import Rng
from .blame.patience import Patience
from .blame.source import Source
from .blame.suspects import Held, Suspect, Suspects
from .breaker.breaker import PROBE_GUESS, Breaker
from .breaker.policy import BreakerPolicy
from .breaker.states import Permit
from .causes import RULES, Cause, Skipped, SkipReason
from .health import AttemptStats, DeploymentStatus, PeakEwma, Sample
from .hedging import Quantile
from .keys import Key, Keyring
from .retry_budget import RetryBudget, RetryBudgetPolicy


class Target:
    """One deployment. An attempt enters, and leaves with what it has seen."""

    __slots__ = (
        "breaker",
        "clear",
        "drained_until",
        "health",
        "in_flight",
        "keyring",
        "left_late",
        "name",
        "patience",
        "retries",
        "suspects",
        "usual",
    )

    def __init__(
        self,
        name: str,
        keys: Sequence[Key],
        breaker: BreakerPolicy,
        budget: RetryBudgetPolicy,
    ) -> None:
        self.name: Final = name
        self.in_flight = 0
        # It is available, and no look at its breaker and keys is needed, until anything changes.
        self.clear = True
        self.drained_until = -math.inf  # an operator has taken it out
        self.breaker = Breaker(breaker)
        self.suspects = Suspects(breaker)
        # How many callers in a row left after a wait that was longer than usual.
        self.left_late = 0
        self.retries = RetryBudget(budget)
        self.health = AttemptStats()
        self.keyring = Keyring(keys)
        self.usual = Quantile()
        self.patience = Patience()

    def __repr__(self) -> str:
        return f"<Target {self.name}, {self.in_flight} in flight>"

    @property
    def first_event(self) -> PeakEwma:
        return self.health.first_event

    def available(self, now: float) -> bool:
        """Say whether an attempt would be let through now, and not as a probe."""
        found = self._front.closed and self.keyring.usable(now) and not self.drained(now)
        self.clear = found and self.keyring.unburdened
        return found

    def probe_due(self, now: float) -> bool:
        """Say whether its open breaker waits for one attempt to learn from."""
        return not self.drained(now) and self._front.probe_due(now) and self.keyring.usable(now)

    def drained(self, now: float) -> bool:
        """Say whether an operator has taken it out."""
        return now < self.drained_until

    def drain(self, until: float) -> None:
        """Take it out until then; what is under way goes on."""
        self.drained_until, self.clear = until, False

    def reset(self, now: float) -> None:
        """Close its breakers by hand, and forget what led to it."""
        self.clear = False
        self.breaker.reset(now)
        self.suspects.absolve()
        self.health.forgive()

    def factor(self, now: float) -> float:
        """Return its share of the usual traffic: less than 1 in the slow start."""
        return self.breaker.factor(now)

    def steady(self, now: float) -> bool:
        """Say whether it serves nearly all that it is sent."""
        counts = self.breaker if self.breaker.policy.enabled else self.retries
        return counts.steady(now)

    def free_at(self, now: float) -> float:
        """Return when it is available again; `now` if it is."""
        return max(now, self._front.retry_at(now) or now, self.keyring.free_at())

    @property
    def _front(self) -> Breaker:
        """Return the breaker that strategies and reports go by.

        A deployment that is closed to one caller and has answered no other since is shown as
        that caller finds it. Others are let through all the same, should it be their turn.
        """
        if self.suspects.known and self.breaker.closed:
            suspect = self.suspects.kept_out
            if suspect is not None:
                return suspect.breaker
        return self.breaker

    def alone(self, now: float, source: Source | None, pool: Sequence[Target]) -> bool:
        """Say whether no other target of a request's `pool` would take it now.

        Not if the pool is not known.
        """
        return bool(pool) and not any(each is not self and each.takes(now, source) for each in pool)

    def takes(self, now: float, source: Source | None = None) -> bool:
        """Say whether it would take an attempt for `source` that is no test of it."""
        if not (self.breaker.closed and self.keyring.usable(now)) or self.drained(now):
            return False
        if not self.suspects.known:
            return True
        if source is None:
            return self.suspects.kept_out is None
        return not self.suspects.doubtful(source)

    def refusal(
        self, now: float, source: Source | None = None, *, alone: bool = False
    ) -> Skipped | None:
        """Return why an attempt would not be let through now, which counts as rejected."""
        if self.drained(now):
            return self.unavailable(now)
        breaker = self._refusing(now, source, alone=alone)
        if breaker is not None:
            breaker.turn_away(alone=alone)
        elif source is not None and self._crowded(now, alone=alone):
            self.breaker.rejected += 1
            self.suspects.others.refuse()
        return self.unavailable(now, source, alone=alone)

    def unavailable(
        self, now: float, source: Source | None = None, *, alone: bool = False
    ) -> Skipped | None:
        """Return the same for an attempt that was not asked for."""
        if now < self.drained_until:
            return Skipped(SkipReason.DRAINED)  # when it is over is the operator's to say
        breaker = self._refusing(now, source, alone=alone)
        if breaker is not None:
            self.clear = self.clear and breaker is not self.breaker
            return Skipped(SkipReason.CIRCUIT_OPEN, breaker.retry_at(now, alone=alone))
        if source is not None and self._crowded(now, alone=alone):
            until = self.suspects.others.retry_at(now) if alone else now + PROBE_GUESS
            return Skipped(SkipReason.CIRCUIT_OPEN, until)
        if not self.keyring.usable(now):
            self.clear = False
            refused = self.keyring.all_refused
            why = SkipReason.KEYS_REFUSED if refused else SkipReason.RATE_LIMITED
            return Skipped(why, self.keyring.free_at())
        return None

    def _refusing(self, now: float, source: Source | None, *, alone: bool) -> Breaker | None:
        """Return the breaker, its own or the caller's, that would not let an attempt through."""
        if not self.breaker.available(now, alone=alone):
            return self.breaker
        if source is None or not self.suspects.known:
            return None
        barred = self.suspects.barred(source, now, alone=alone)
        return None if barred is None else barred.breaker

    def _crowded(self, now: float, *, alone: bool) -> bool:
        return bool(self.suspects.known) and self.suspects.crowded(now, alone=alone)

    def status(self, now: float) -> DeploymentStatus:
        """Return what reports show of it."""
        health, breaker, keyring = self.health, self.breaker, self.keyring
        return DeploymentStatus(
            name=self.name,
            state=self._front.state(now).value,
            available=self.available(now) or self.probe_due(now),
            in_flight=self.in_flight,
            attempts=health.attempts,
            failures={cause.value: count for cause, count in health.failures.items()},
            consecutive_failures=health.consecutive_failures,
            first_event=health.first_event.value,
            opens=breaker.opens + self.suspects.opens,
            rejected=breaker.rejected,
            retries_in_flight=self.retries.retries_in_flight,
            retry_budget_exhausted=self.retries.exhausted,
            keys=keyring.statuses(now),
            drained=self.drained_until - now if self.drained(now) else None,
        )

    def enter(self, now: float, *, alone: bool = False) -> Permit | None:
        """Begin an attempt; None if the breaker refuses it."""
        permit = self.breaker.enter(now, alone=alone)
        if permit is not None:
            self.in_flight += 1
        return permit

    def leave(
        self,
        permit: Permit,
        sample: Sample,
        now: float,
        rng: Rng,
        *,
        retry_after: float | None = None,
        by_rate: bool = True,
        alone: bool = False,
        counts: bool = True,
        source: Source | None = None,
        held: Held | None = None,
    ) -> Suspect | None:
        """End it; return the caller that it is closed to by this, alone among all, if any.

        Without `counts` it says nothing of the deployment: we were slow ourselves.
        """
        self.in_flight -= 1
        cause = sample.cause
        if cause is not None:
            self.clear = False
        rule = None if cause is None else RULES[cause]
        soft = rule is not None and rule.late and counts and self.patience.exceeded(sample)
        failed = False if rule is None else True if soft else rule.failure
        if not counts:
            failed = None
        self.health.add(sample, now)
        if sample.first_event is not None and failed is False:
            self.usual.add(sample.first_event)
            self.patience.add(sample)
        if cause is not None:
            self.health.judge_speed(sample, now, failed=bool(failed), soft=soft, counts=counts)
        if not self.breaker.policy.enabled and (failed or (rule is None and failed is False)):
            self.retries.note(bool(failed), now)
        if failed and rule is not None:
            started = None if sample.latency is None else now - sample.latency
            retry_after = retry_after if cause is Cause.SERVER_ERROR else None
            blame = self.suspects.failed(
                source,
                held,
                now,
                rng,
                by_request=rule.by_request,
                soft=soft,
                retry_after=retry_after,
                by_rate=by_rate,
                alone=alone,
                started=started,
            )
            self.breaker.leave(
                permit,
                True,
                now,
                rng,
                retry_after=retry_after,
                by_rate=by_rate,
                by_row=blame.by_row,
                alone=alone,
                own=(blame.requests, blame.failures),
                soft=soft,
                started=started,
            )
            if not self.breaker.closed:
                self.suspects.start_over()
            return blame.closed_to
        # A refusal of the request itself is no failure, and no proof either: callers could keep
        # a dead deployment's breaker closed with it.
        if rule is None and failed is False:
            self.left_late = 0
            if self.suspects.known or self.suspects.in_a_row:
                self.suspects.succeeded(source, held, now, rng)
            self.answered(permit, now, rng)
            return None
        if held is not None:
            self.suspects.released(held, now, rng)
        self.breaker.leave(permit, None, now, rng)
        return None

    def answered(self, permit: Permit, now: float, rng: Rng) -> None:
        """Take note of the first event of an attempt."""
        was_closed = self.breaker.closed
        self.breaker.leave(permit, False, now, rng)
        if not was_closed and self.breaker.closed:
            self.health.first_event.forgive()
            self.suspects.absolve()
