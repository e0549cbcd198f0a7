"""What the log says of deployments: where trouble begins, what breakers do, when it is over.

One line when a deployment that was well fails, and one when it answers again; not one for each
failure, which the records have. A deployment that fails every other time would have both lines
for every pair of requests, so there is at most one beginning in `QUIET` seconds.
"""

from __future__ import annotations

from typing import Final

import structlog

from ..core.routing.breaker.states import BreakerState
from ..core.routing.causes import RULES
from ..core.routing.health import Sample
from ..core.routing.target import Target

QUIET: Final = 30.0
# Characters of what a provider said.
SAID: Final = 300

_log = structlog.get_logger(__name__)


class _Series:
    """Failures in a row. `logged` is when its first was, or the last one that is in the log."""

    __slots__ = ("failures", "logged", "shown")

    def __init__(self) -> None:
        self.failures = 0
        self.logged = -QUIET
        self.shown = False


class TroubleLog:
    """Knows of deployments that are or were in trouble; a healthy one costs a look at two sets."""

    def __init__(self) -> None:
        self._states: dict[str, BreakerState] = {}
        self._series: dict[str, _Series] = {}

    def __repr__(self) -> str:
        return f"<TroubleLog, {len(self._series)} have failed, {len(self._states)} are paused>"

    def left(self, target: Target, sample: Sample, now: float, *, counts: bool = True) -> None:
        """Take note of an attempt that has ended."""
        if sample.cause is None:
            if target.name in self._series:
                self._answered(target.name)
        elif counts and RULES[sample.cause].failure:
            self._failed(target.name, sample, now)
        elif target.name not in self._states:
            return
        self.breaker(target, now)

    def breaker(self, target: Target, now: float) -> None:
        """Say so if the breaker of `target` is not as it was."""
        name, state = target.name, target.breaker.state(now)
        before = self._states.get(name, BreakerState.CLOSED)
        if state is before:
            return
        if state is BreakerState.CLOSED:
            del self._states[name]
            _log.info("circuit breaker closed", deployment=name)
            return
        self._states[name] = state
        if state is BreakerState.OPEN:
            until = target.breaker.retry_at(now)
            seconds = None if until is None else round(until - now, 3)
            _log.warning(
                "circuit breaker opened", deployment=name, seconds=seconds, before=before.value
            )
        else:
            _log.info("circuit breaker half-open: one request tests it", deployment=name)

    def forget(self, known: set[str]) -> None:
        """Forget all deployments but the `known` ones."""
        self._states = {name: each for name, each in self._states.items() if name in known}
        self._series = {name: each for name, each in self._series.items() if name in known}

    def _failed(self, name: str, sample: Sample, now: float) -> None:
        series = self._series.get(name)
        if series is None:
            series = self._series[name] = _Series()
        series.failures += 1
        if series.failures > 1 or now - series.logged < QUIET:
            return
        series.logged, series.shown = now, True
        assert sample.cause is not None
        _log.warning(
            "deployment fails",
            deployment=name,
            cause=sample.cause.value,
            status=sample.status,
            error=sample.error[:SAID],
        )

    def _answered(self, name: str) -> None:
        series = self._series[name]
        if series.shown:
            _log.info("deployment answers again", deployment=name, failures=series.failures)
        series.failures, series.shown = 0, False
