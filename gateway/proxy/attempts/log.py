"""What is written down of one attempt, however it ends."""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from ...core.records.pricing import cost
from ...core.records.record import AttemptRecord, EndReason, milliseconds
from ...core.records.usage import Usage
from ...core.routing.attempts import AttemptFailure
from ...core.routing.call import Headers
from ...core.routing.causes import Cause
from ...core.routing.health import Sample
from ..exchange import Exchange
from ..outcomes import Committed, Failed, RelayEnd
from .lease import AttemptLease

# What a stream that broke after its commit says about the provider.
_BROKEN: Final = {
    EndReason.UPSTREAM_BROKE: Cause.TRUNCATED,
    EndReason.IDLE_TIMEOUT: Cause.IDLE_TIMEOUT,
    EndReason.TOTAL_TIMEOUT: Cause.TOTAL_TIMEOUT,
    EndReason.SEND_TIMEOUT: Cause.CLIENT_GONE,
    EndReason.SHUTTING_DOWN: Cause.SHUTDOWN,
}
# Cut while the provider was at work, by the caller, its deadline or our exit.
_CUT: Final = (Cause.CLIENT_GONE, Cause.TOTAL_TIMEOUT, Cause.SHUTDOWN)


class AttemptLog:
    """Writes one attempt into the record, and tells its visit how it went.

    `outcome` is set as soon as it is known. Made when the attempt begins. `trace_headers` tell
    the provider which span its call is made in.
    """

    def __init__(self, exchange: Exchange, visit: AttemptLease, number: int, wait: float) -> None:
        deployment = visit.deployment
        self.visit: Final = visit
        self.number: Final = number
        self.outcome: Committed | Failed | None = None
        self.hedged = False
        self._exchange = exchange
        self._finished = False
        self._started = trio.current_time()
        self._first_event: float | None = None
        self._row = AttemptRecord(
            provider=deployment.provider,
            model=deployment.model,
            wait_ms=milliseconds(wait),
            started_ms=milliseconds(self._started - exchange.started),
        )
        self.trace_headers: Headers = ()
        trace, tracer = exchange.trace, exchange.services.tracer
        if trace is not None and tracer is not None:
            self._row.span_id = tracer.span_id()
            self.trace_headers = trace.headers(self._row.span_id)
        exchange.record.attempts.append(self._row)

    def __repr__(self) -> str:
        return f"<AttemptLog {self._row}>"

    def first_event(self) -> None:
        now = trio.current_time()
        self._first_event = now - self._started
        record = self._exchange.record
        record.provider = self.visit.deployment.provider
        record.provider_model = self.visit.deployment.model
        record.first_event_ms = milliseconds(now - self._exchange.started)
        self.visit.answered()

    def failure(self, now: float) -> AttemptFailure:
        """Return what decides on the next attempt; to be asked once this one is finished."""
        failed = self.outcome
        assert isinstance(failed, Failed)
        wait, another = failed.retry_after, False
        if failed.cause in (Cause.RATE_LIMITED, Cause.AUTH_FAILED):
            rest = self.visit.keys_rest(now)
            another = self.visit.has_another_key(now)
            if failed.cause is Cause.RATE_LIMITED:
                wait = wait if rest is None else rest
                if rest is not None:
                    # Another key may be back before the one that was refused now.
                    self.outcome = msgspec.structs.replace(failed, retry_after=rest)
        return AttemptFailure(self.number, failed.cause, wait, another, self.visit.probes)

    async def finish(self, end: RelayEnd | None) -> None:
        """Write it down, and give back what the attempt held. Idempotent."""
        if self._finished:
            return
        self._finished = True
        outcome = self.outcome
        latency = trio.current_time() - self._started
        cause, row = self._cause(outcome, end), self._row
        row.cause = cause.value if cause else None
        row.duration_ms = milliseconds(latency)
        if self._first_event is not None:
            row.first_event_ms = milliseconds(self._first_event)
        tokens = 0
        if isinstance(outcome, Failed):
            row.status, row.error = outcome.status, outcome.message
        elif isinstance(outcome, Committed):
            row.status, row.error = outcome.response.status, end.message if end else None
            tokens = self._exchange.tokens_used()
        if cause is Cause.HEDGED:
            # The provider has read the prompt and will want it paid; more is not known.
            tokens = self._exchange.prompt
            self._charge(Usage(tokens))
        elif self._exchange.reservation is not None:
            self._estimate(outcome, cause)
        sample = Sample(cause, latency, self._first_event)
        if isinstance(outcome, Failed):
            sample = Sample(
                cause,
                latency,
                self._first_event,
                status=outcome.status,
                retry_after=outcome.retry_after,
                error=outcome.message,
            )
        await self.visit.leave(sample, self._exchange.pool, tokens)

    def _estimate(self, outcome: Committed | Failed | None, cause: Cause | None) -> None:
        """Charge a limited caller for what no provider has reported.

        Usage comes with a stream's last event: whoever leaves before it would pay nothing, and
        have no budget at all.
        """
        exchange = self._exchange
        if exchange.record.input_tokens is not None:
            # Of a whole answer it is known, though its caller may not have taken it in time.
            return
        if isinstance(outcome, Committed):
            self._charge(Usage(exchange.prompt, exchange.answer_tokens()))
        elif cause in _CUT:
            exchange.unanswered += exchange.prompt
            self._charge(Usage(exchange.prompt))

    def _charge(self, usage: Usage) -> None:
        """Add an estimate to the record, and let the attempt's row show it."""
        found = self._row.cost_nano_usd = cost(usage, self.visit.deployment.prices)
        record = self._exchange.record
        record.cost_nano_usd = (record.cost_nano_usd or 0) + found

    def _cause(self, outcome: Committed | Failed | None, end: RelayEnd | None) -> Cause | None:
        if isinstance(outcome, Failed):
            return outcome.cause
        if self.hedged:
            return Cause.HEDGED
        if end is None:
            # Cancelled from outside: says nothing about the provider.
            return Cause.CLIENT_GONE
        return _BROKEN.get(end.reason)
