"""All that is known of one deployment while the gateway runs: what strategies and attempts ask.

It outlives every reload that keeps the deployment, and every snapshot points to the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .backoff import Rng
from .breaker import Breaker, BreakerPolicy, Permit
from .causes import RULES, Cause
from .health import AttemptStats, PeakEwma, Sample
from .hedging import Quantile
from .keys import Key, Keyring
from .retry_budget import RetryBudget, RetryBudgetPolicy

# Seconds that a failure counts as in the average of first events: a deployment that fails at
# once would otherwise look like the fastest of all and attract the traffic it fails.
PENALTY: Final = 5.0
WORST: Final = 300.0


class Target:
    """One deployment. An attempt enters, and leaves with what it has seen."""

    __slots__ = ("breaker", "clear", "health", "in_flight", "keyring", "name", "retries", "usual")

    def __init__(
        self,
        name: str,
        keys: Sequence[Key],
        breaker: BreakerPolicy,
        budget: RetryBudgetPolicy,
    ) -> None:
        self.name: Final = name
        self.in_flight = 0
        # Available, unless something has happened that nobody has looked at yet.
        self.clear = True
        self.breaker = Breaker(breaker)
        self.retries = RetryBudget(budget)
        self.health = AttemptStats()
        self.keyring = Keyring(keys)
        self.usual = Quantile()

    def __repr__(self) -> str:
        return f"<Target {self.name}, {self.in_flight} in flight>"

    @property
    def first_event(self) -> PeakEwma:
        return self.health.first_event

    def available(self, now: float) -> bool:
        """Say whether an attempt would be let through now, and not as a probe."""
        found = self.breaker.closed and self.keyring.usable(now)
        self.clear = found and self.keyring.unburdened
        return found

    def probe_due(self, now: float) -> bool:
        """Say whether its open breaker waits for one attempt to learn from."""
        return self.breaker.probe_due(now) and self.keyring.usable(now)

    def factor(self, now: float) -> float:
        """Return its share of the usual traffic: less than 1 in the slow start."""
        return self.breaker.factor(now)

    def free_at(self, now: float) -> float:
        """Return when it is available again; `now` if it is."""
        return max(now, self.breaker.retry_at(now) or now, self.keyring.free_at())

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
    ) -> None:
        """End it. Without `counts` it says nothing of the deployment: we were slow ourselves."""
        self.in_flight -= 1
        cause = sample.cause
        if cause is not None:
            self.clear = False
        failed = False if cause is None else RULES[cause].failure
        if not counts:
            failed = None
        self.health.add(sample, now)
        if sample.first_event is not None and failed is False:
            self.usual.add(sample.first_event)
        usual = self.health.first_event
        if failed:
            # Worse each time: beside busy ones five seconds would look good again.
            usual.add(min(WORST, max(PENALTY, 2.0 * (usual.value or 0.0))), now)
        elif counts and cause is Cause.HEDGED and (sample.latency or 0.0) > (usual.value or 0.0):
            # It would have taken longer still.
            usual.add(sample.latency or 0.0, now)
        self.breaker.leave(
            permit,
            # A refusal of the request itself is no failure, and no proof either: callers could
            # keep a dead deployment's breaker closed with it.
            None if cause is not None and not failed else failed,
            now,
            rng,
            retry_after=retry_after if cause is Cause.SERVER_ERROR else None,
            by_rate=by_rate,
            started=None if sample.latency is None else now - sample.latency,
        )
