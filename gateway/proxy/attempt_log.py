"""What is written down of one attempt, however it ends."""

from __future__ import annotations

from typing import Final

import trio

from ..core.record import AttemptRecord, EndReason, milliseconds
from ..core.routing.causes import Cause
from ..core.routing.deployment import Deployment
from ..core.routing.health import Sample
from .attempt import Committed, Failed
from .exchange import Exchange
from .relay import RelayEnd

# What a stream that broke after its commit says about the provider.
_BROKEN: Final = {
    EndReason.UPSTREAM_BROKE: Cause.TRUNCATED,
    EndReason.IDLE_TIMEOUT: Cause.IDLE_TIMEOUT,
    EndReason.TOTAL_TIMEOUT: Cause.TOTAL_TIMEOUT,
    EndReason.SEND_TIMEOUT: Cause.CLIENT_GONE,
    EndReason.SHUTTING_DOWN: Cause.SHUTDOWN,
}


class AttemptLog:
    """Writes one attempt into the record and into the deployment's health, however it ends."""

    def __init__(self, exchange: Exchange, deployment: Deployment, wait: float) -> None:
        self._exchange = exchange
        self._deployment = deployment
        self._started: float | None = None
        self._first_event: float | None = None
        self._row = AttemptRecord(
            provider=deployment.provider, model=deployment.model, wait_ms=milliseconds(wait)
        )

    def start(self) -> None:
        self._started = trio.current_time()
        self._exchange.record.attempts.append(self._row)

    def first_event(self) -> None:
        assert self._started is not None
        now = trio.current_time()
        self._first_event = now - self._started
        record = self._exchange.record
        record.provider = self._deployment.provider
        record.provider_model = self._deployment.model
        record.first_event_ms = milliseconds(now - self._exchange.started)

    def finish(self, outcome: Committed | Failed | None, end: RelayEnd | None) -> None:
        if self._started is None:
            return  # It never got beyond its wait.
        now = trio.current_time()
        latency = now - self._started
        cause, row = self._cause(outcome, end), self._row
        row.cause = cause.value if cause else None
        row.duration_ms = milliseconds(latency)
        if self._first_event is not None:
            row.first_event_ms = milliseconds(self._first_event)
        if isinstance(outcome, Failed):
            row.status, row.error = outcome.status, outcome.message
        elif isinstance(outcome, Committed):
            row.status, row.error = outcome.response.status, end.message if end else None
        sample = Sample(cause, latency, self._first_event)
        self._exchange.services.health.add(self._deployment.name, sample, now)

    def _cause(self, outcome: Committed | Failed | None, end: RelayEnd | None) -> Cause | None:
        if isinstance(outcome, Failed):
            return outcome.cause
        if end is None:
            # Cancelled from outside: says nothing about the provider.
            return Cause.CLIENT_GONE
        return _BROKEN.get(end.reason)
