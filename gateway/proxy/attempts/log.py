"""What is written down of one attempt, however it ends."""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from ...core.records.pricing import FREE
from ...core.records.record import COUNT_TOKENS, AttemptRecord, EndReason, milliseconds
from ...core.routing.balancing.homes import Home
from ...core.routing.call import Headers
from ...core.routing.causes import AttemptFailure, Cause
from ...core.routing.health import Sample
from ...core.routing.target import Target
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
    EndReason.CANCELLED: Cause.CANCELLED,
}


class AttemptLog:
    """Writes one attempt into the record, and tells its lease how it went.

    `outcome` is set as soon as it is known. Made when the attempt begins. `trace_headers` tell
    the provider which span its call is made in.
    """

    def __init__(
        self,
        exchange: Exchange,
        lease: AttemptLease,
        pool: tuple[Target, ...],
        number: int,
        wait: float,
        dropped: tuple[str, ...] = (),
    ) -> None:
        deployment = lease.deployment
        self.lease: Final = lease
        self.number: Final = number
        self.outcome: Committed | Failed | None = None
        self.hedged = False
        self._homes = exchange.services.homes
        self._owner = exchange.caller.digest
        self._settlement = settlement = exchange.settlement
        self._pool = pool
        self._finished = False
        self._started = trio.current_time()
        self._first_event: float | None = None
        self._row = AttemptRecord(
            provider=deployment.provider,
            model=deployment.model,
            wait_ms=milliseconds(wait),
            started_ms=milliseconds(self._started - settlement.started),
        )
        self.trace_headers: Headers = ()
        trace, tracer = settlement.trace, exchange.services.tracer
        if trace is not None and tracer is not None:
            self._row.span_id = tracer.span_id()
            self.trace_headers = trace.headers(self._row.span_id)
        settlement.attempt(self._row, dropped)

    def __repr__(self) -> str:
        return f"<AttemptLog {self._row}>"

    def first_event(self) -> None:
        """Note that the answer begins, and is the one to show."""
        now = trio.current_time()
        self._first_event = now - self._started
        self._settlement.first_event(self.lease.deployment, now)
        self.lease.answered(now)
        self._note_home()

    def _note_home(self) -> None:
        """Note which deployment keeps the answer, so that what goes on from it finds it."""
        outcome = self.outcome
        assert isinstance(outcome, Committed)
        kept = outcome.kept_ids if outcome.rewriter is None else outcome.rewriter.kept_ids
        if kept:
            model = self._settlement.record.model or ""
            home = Home(self._owner, self.lease.deployment.state_key, model)
            for each in kept:
                self._homes.keep(each, home)

    def failure(self, now: float) -> AttemptFailure:
        """Return what decides on the next attempt; to be asked once this one is finished."""
        failed = self.outcome
        assert isinstance(failed, Failed)
        wait, another = failed.retry_after, False
        if failed.cause in (Cause.RATE_LIMITED, Cause.AUTH_FAILED, Cause.ACCOUNT_REFUSED):
            rest = self.lease.keys_rest(now)
            another = self.lease.has_another_key(now)
            if failed.cause is Cause.RATE_LIMITED:
                wait = wait if rest is None else rest
                if rest is not None:
                    # Another key may be back before the one that was refused now.
                    self.outcome = msgspec.structs.replace(failed, retry_after=rest)
        if failed.told and self.lease.key_refused():
            # Others were refused as well: it is the key.
            self.outcome = msgspec.structs.replace(failed, told="")
        return AttemptFailure(self.number, failed.cause, wait, another, self.lease.probes)

    async def finish(self, end: RelayEnd | None) -> None:
        """Write it down, and give back what the attempt held. Idempotent."""
        if self._finished:
            return
        self._finished = True
        outcome = self.outcome
        latency = trio.current_time() - self._started
        cause, row = self._cause(outcome, end, latency), self._row
        row.cause = cause.value if cause else None
        row.duration_ms = milliseconds(latency)
        if self._first_event is not None:
            row.first_event_ms = milliseconds(self._first_event)
        if isinstance(outcome, Failed):
            row.status, row.error = outcome.status, outcome.message
        elif isinstance(outcome, Committed):
            row.status, row.error = outcome.response.status, end.message if end else None
        counts = self._settlement.record.operation == COUNT_TOKENS
        prices = FREE if counts else self.lease.deployment.prices
        tokens = self._settlement.attempt_ended(row, prices, outcome, cause)
        if counts and cause is None:
            self._settlement.record.counted_by = "provider"
        failed = outcome if isinstance(outcome, Failed) else None
        sample = Sample(
            cause,
            latency,
            self._first_event,
            status=None if failed is None else failed.status,
            retry_after=None if failed is None else failed.retry_after,
            error="" if failed is None else failed.message,
            whole=not self._settlement.record.stream,
        )
        await self.lease.leave(sample, self._pool, tokens)

    def _cause(
        self, outcome: Committed | Failed | None, end: RelayEnd | None, latency: float
    ) -> Cause | None:
        if isinstance(outcome, Failed):
            return outcome.cause
        if self.hedged:
            return Cause.HEDGED
        if end is None:
            # Cancelled from outside, which says nothing about the provider, unless it kept the
            # caller waiting for longer than it usually does.
            whole = not self._settlement.record.stream
            late = self._first_event is None and self.lease.abandoned(latency, whole=whole)
            return Cause.ABANDONED if late else Cause.CLIENT_GONE
        return end.cause or _BROKEN.get(end.reason)
