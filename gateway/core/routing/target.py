"""All that is known of one deployment while the gateway runs: what strategies and attempts ask.

It outlives every reload that keeps the deployment, and every snapshot points to the same one.
Outside of `core/` and `state/` a target only names its deployment: `Health` acts on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from .backoff import Rng
from .blame.patience import Patience
from .blame.source import Source
from .blame.suspects import Held, Suspect, Suspects
from .breaker import PROBE_GUESS, Breaker, BreakerPolicy, Permit
from .causes import RULES, Cause, Skipped, SkipReason
from .deployment import Deployment
from .health import AttemptStats, DeploymentStatus, KeyStatus, PeakEwma, Sample
from .hedging import Quantile
from .keys import Key, Keyring
from .retry_budget import RetryBudget, RetryBudgetPolicy

# Seconds that a failure counts as in the average of first events: a deployment that fails at
# once would otherwise look like the fastest of all and attract the traffic it fails.
PENALTY: Final = 5.0
WORST: Final = 300.0


class Entered(msgspec.Struct, eq=False):
    """An attempt that was let through: what it holds of its deployment until it leaves.

    `probes` says that it was let through to test an open breaker; the permit is given back with
    the first sign of life, long before it leaves. `charged` says that it holds a place in the
    retry budget. `held` is what it holds of its caller's own breaker, if the caller is a suspect;
    `trial` that it was let through to learn whether only that of another is to blame.
    """

    target: Target
    deployment: Deployment
    key: Key
    permit: Permit
    probes: bool
    charged: bool
    source: Source | None = None
    held: Held | None = None
    trial: bool = False

    @property
    def key_id(self) -> str:
        return self.key.id

    @property
    def key_label(self) -> str:
        """Return what people know the key by; holds none of it."""
        return self.key.label


class Target:
    """One deployment. An attempt enters, and leaves with what it has seen."""

    __slots__ = (
        "breaker",
        "clear",
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
        # True: it is available, and no look at its breaker and keys is needed. Anything that
        # might change that makes it False until the next look.
        self.clear = True
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
        found = self._front.closed and self.keyring.usable(now)
        self.clear = found and self.keyring.unburdened
        return found

    def probe_due(self, now: float) -> bool:
        """Say whether its open breaker waits for one attempt to learn from."""
        return self._front.probe_due(now) and self.keyring.usable(now)

    def factor(self, now: float) -> float:
        """Return its share of the usual traffic: less than 1 in the slow start."""
        return self.breaker.factor(now)

    def steady(self, now: float) -> bool:
        """Say whether it serves nearly all that it is sent: then the retry budget is no bound."""
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

    def refusal(self, now: float, source: Source | None = None) -> Skipped | None:
        """Return why an attempt would not be let through now, which counts as rejected."""
        if not self.breaker.available(now):
            self.breaker.rejected += 1
        return self.unavailable(now, source)

    def unavailable(self, now: float, source: Source | None = None) -> Skipped | None:
        """Return the same for an attempt that was not asked for."""
        if not self.breaker.available(now):
            self.clear = False
            return Skipped(SkipReason.CIRCUIT_OPEN, self.breaker.retry_at(now))
        if source is not None and self.suspects.known:
            barred = self.suspects.barred(source, now)
            if barred is not None:
                return Skipped(SkipReason.CIRCUIT_OPEN, barred.breaker.retry_at(now))
            if self.suspects.trial and self.suspects.kept_out is not None:
                self.breaker.rejected += 1
                return Skipped(SkipReason.CIRCUIT_OPEN, now + PROBE_GUESS)
        if not self.keyring.usable(now):
            self.clear = False
            refused = self.keyring.all_refused
            why = SkipReason.KEYS_REFUSED if refused else SkipReason.RATE_LIMITED
            return Skipped(why, self.keyring.free_at())
        return None

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
            keys=[
                KeyStatus(key.label, keyring.why_refused(key) is not None, keyring.rests(key, now))
                for key in keyring.keys
            ],
        )

    def enter(self, now: float) -> Permit | None:
        """Begin an attempt; None if the breaker refuses it."""
        permit = self.breaker.enter(now)
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
            self._judge_speed(sample, now, failed=bool(failed), soft=soft, counts=counts)
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
            self.breaker.leave(permit, False, now, rng)
            return None
        if held is not None:
            self.suspects.released(held, now, rng)
        self.breaker.leave(permit, None, now, rng)
        return None

    def _judge_speed(
        self, sample: Sample, now: float, *, failed: bool, soft: bool, counts: bool
    ) -> None:
        usual, waited = self.health.first_event, sample.latency or 0.0
        if failed and not soft:
            # Worse each time: beside busy ones five seconds would look good again.
            usual.add(min(WORST, max(PENALTY, 2.0 * (usual.value or 0.0))), now)
        elif (soft or (counts and sample.cause is Cause.HEDGED)) and waited > (usual.value or 0.0):
            # It would have taken longer still.
            usual.add(waited, now)
