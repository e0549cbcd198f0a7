"""What callers see of a provider that fails a part of its requests, by the rule of its breaker.

    python -m bench.outage      draws docs/breaker.svg; needs matplotlib

The gateway's own decisions (health, breakers, retry budget, attempts) in virtual time: requests
arrive at random, last half a second if they are served and a tenth if not, and are retried as by
default. `RULES` has the rule in force and the one before it, which knew nothing of alternatives:
five failures in a row closed the last provider left to everybody. Fixed dice, so that two runs
agree to the last request.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import structlog

from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.records.pricing import Prices
from gateway.core.routing.attempts import Attempts, RetryPolicy
from gateway.core.routing.balancing.strategies import StrategyName
from gateway.core.routing.blame.source import Source
from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.routing.call import Origin
from gateway.core.routing.causes import AttemptFailure, Cause, Skipped, Stop, Try
from gateway.core.routing.deployment import Credential, Deployment
from gateway.core.routing.entered import Entered
from gateway.core.routing.health import Sample
from gateway.core.routing.timeouts import Timeouts
from gateway.providers.failures import OPENAI_COMPATIBLE
from gateway.state.health import LocalHealth

RuleName = Literal["before", "now"]
RULES: Final[tuple[RuleName, ...]] = ("before", "now")
SERVED, FAILED = 0.5, 0.1  # seconds that an attempt takes
CALLERS: Final = 20

# The share of its requests that a provider fails, by the time.
Failing = Callable[[float], float]


@dataclass
class Seen:
    """One request: when it came, when it was over, whether it was served."""

    at: float
    over: float = math.inf
    served: bool = False
    refused: bool = False  # with a 503, since no provider was asked
    retry_after: float | None = None


@dataclass
class Outage:
    """What came of a simulation. `calls` are the times of attempts, by provider."""

    seen: list[Seen] = field(default_factory=list)
    calls: dict[str, list[float]] = field(default_factory=dict)
    opens: int = 0

    def share(self, start: float = 0.0, end: float = math.inf) -> float:
        """Return the share that was served of the requests that came in between."""
        some = [each.served for each in self.seen if start <= each.at < end]
        return sum(some) / len(some)

    def called(self, provider: str, start: float = 0.0, end: float = math.inf) -> int:
        return sum(start <= at < end for at in self.calls[provider])


class Simulation:
    """Requests to a model with one route for each of `failing`, the first of them preferred."""

    def __init__(
        self,
        failing: dict[str, Failing],
        *,
        rule: RuleName = "now",
        rate: float = 20.0,
        seconds: float = 120.0,
        seed: int = 1,
        retry: RetryPolicy | None = None,
        breaker: BreakerPolicy | None = None,
        strategy: StrategyName = "priority",
        callers: int = CALLERS,
        failed_seconds: float = FAILED,
    ) -> None:
        if breaker is None:
            # The rate never closed a model's only route.
            lenient = rule == "before" and len(failing) == 1
            breaker = BreakerPolicy(failure_rate=1.0) if lenient else BreakerPolicy()
        self._failing = failing
        self._rule = rule
        self._rate, self._seconds = rate, seconds
        self._random = random.Random(seed)
        self._retry = retry or RetryPolicy()
        self._callers = callers
        self._failed_seconds = failed_seconds
        self._health = LocalHealth(breaker, self._retry)
        self._deployments = [_deployment(name) for name in failing]
        self.targets = [self._health.target(each) for each in self._deployments]
        self._balancer = self._health.balancer(strategy, self._deployments, self.targets)
        # Always well and never asked: with it in their pool all others have an alternative.
        self._never_asked = self._health.target(_deployment("never-asked"))
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = itertools.count()
        self._watched: list[tuple[Callable[[float], bool], list[float]]] = []
        self._found = Outage(calls={name: [] for name in failing})

    def run(self) -> Outage:
        now = 0.0
        while (now := now - math.log(1.0 - self._random.random()) / self._rate) < self._seconds:
            self._at(now, self._arrive)
        while self._events:
            now, _, act = heapq.heappop(self._events)
            act(now)
        self._found.opens = sum(each.breaker.opens for each in self.targets)
        return self._found

    def when(self, holds: Callable[[float], bool]) -> list[float]:
        """Return a list that will hold the first moment at which a request finds this to be so."""
        found: list[float] = []
        self._watched.append((holds, found))
        return found

    def _at(self, when: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), act))

    def _arrive(self, now: float) -> None:
        for holds, found in self._watched:
            if not found and holds(now):
                found.append(now)
        seen = Seen(now)
        self._found.seen.append(seen)
        _Request(self, seen, now).begin(now)

    # What a request needs...

    def attempts(self, now: float) -> Attempts:
        order = self._balancer.order(now, self.chance)
        groups = (len(self.targets),)
        return Attempts(self._retry, order, lambda _: now + 600.0, groups=groups)

    def source(self, seen: Seen) -> Source:
        return Source(f"caller {int(self._callers * self.chance())}", b"%f" % seen.at)

    def enter(self, number: int, source: Source, now: float, *, later: bool) -> Entered | Skipped:
        pool = self.targets if self._rule == "now" else ()
        return self._health.enter(
            self.targets[number],
            self._deployments[number],
            now,
            later=later,
            source=source,
            pool=pool,
        )

    def call(self, entered: Entered, now: float, end: Callable[[float, bool], None]) -> None:
        """Call the provider; `end` gets when the attempt is over, and whether it has failed."""
        name = entered.deployment.provider
        self._found.calls[name].append(now)
        failed = self.chance() < self._failing[name](now)
        took = self._failed_seconds if failed else SERVED
        self._at(now + took, lambda over: end(over, failed))

    def leave(self, entered: Entered, began: float, now: float, *, failed: bool) -> None:
        if failed:
            sample = Sample(Cause.SERVER_ERROR, now - began, status=500)
        else:
            sample = Sample(None, now - began, now - began)
        pool = self.targets if self._rule == "now" else [*self.targets, self._never_asked]
        if not failed:
            self._health.answered(entered, now, self.chance)
        self._health.leave(entered, sample, now, self.chance, pool=pool)

    def wait(self, seconds: float, now: float, act: Callable[[float], None]) -> None:
        self._at(now + seconds, act)

    def chance(self) -> float:
        return self._random.random()


class _Request:
    """One request, from its first attempt to its end."""

    def __init__(self, simulation: Simulation, seen: Seen, now: float) -> None:
        self._simulation = simulation
        self._seen = seen
        self._attempts = simulation.attempts(now)
        self._source = simulation.source(seen)
        self._later = False

    def begin(self, now: float) -> None:
        self._go_on(self._attempts.first(now, self._simulation.chance), now)

    def _go_on(self, step: Try | Stop, now: float) -> None:
        if isinstance(step, Try) and step.wait:
            self._simulation.wait(step.wait, now, lambda then: self._try(step, then))
        elif isinstance(step, Try):
            self._try(step, now)
        else:
            self._seen.over = now
            self._seen.refused = not self._later

    def _try(self, step: Try, now: float) -> None:
        simulation = self._simulation
        entered = simulation.enter(step.target, self._source, now, later=self._later)
        if isinstance(entered, Skipped):
            self._seen.retry_after = None if entered.until is None else entered.until - now
            self._go_on(self._attempts.skip(step, now, simulation.chance), now)
            return
        self._later = True

        def end(over: float, failed: bool) -> None:
            simulation.leave(entered, now, over, failed=failed)
            if failed:
                failure = AttemptFailure(step.target, Cause.SERVER_ERROR, probe=entered.probes)
                self._go_on(self._attempts.after(failure, over, simulation.chance), over)
            else:
                self._seen.over, self._seen.served = over, True

        simulation.call(entered, now, end)


def steadily(share: float) -> Failing:
    """Fail that share of all requests."""
    return lambda _: share


def down(start: float, end: float, otherwise: float = 0.0) -> Failing:
    """Fail all requests in between, and the share `otherwise` of the others."""
    return lambda now: 1.0 if start <= now < end else otherwise


def sweep(
    rates: list[float], *, alternative: bool, rule: RuleName, seconds: float = 300.0
) -> Iterator[Outage]:
    """Yield what comes of each share of failures, with a second provider that is well or not."""
    for share in rates:
        failing = {"failing": steadily(share)}
        if alternative:
            failing["well"] = steadily(0.0)
        yield Simulation(failing, rule=rule, seconds=seconds).run()


def _deployment(name: str) -> Deployment:
    return Deployment(
        provider=name,
        model="m",
        model_json=b'"m"',
        origin=Origin("https", "api.example.com", 443),
        dialect=OPENAI_CHAT,
        target=b"/v1/chat/completions",
        stream_target=b"/v1/chat/completions",
        refusals=OPENAI_COMPATIBLE,
        credentials=(Credential(stream_headers=(), plain_headers=(), id="k"),),
        timeouts=Timeouts(),
        prices=Prices(input=1.0, output=1.0),
    )


if __name__ == "__main__":
    from .outage_chart import draw

    # Thousands of failures would be logged.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    here = Path(__file__).parents[1]
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else here / "docs" / "breaker.svg")
