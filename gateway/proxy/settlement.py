"""What a request came to: its usage, its cost and its record are accounted here and nowhere else.

    arrival    the record, with what the request's head says of the caller
    attempts   a row each; what a provider reports, or an estimate where none does
    end        the first reason counts, whatever follows from it
    settle     once: the limits get what was used, the recorder the record

A shared call has two settlements for one record, the caller's and its own (`branch`): the call
knows what was used, the caller how its answer ended. Whichever is settled last writes it.
"""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from ..config.callers import Caller
from ..core.capture.capture import Capture
from ..core.dialects.recognised.request import Asked
from ..core.records.client_metadata import note_caller, note_user
from ..core.records.pricing import Prices, cost
from ..core.records.record import (
    AttemptRecord,
    CountedBy,
    EndReason,
    Record,
    SkipRecord,
    end_reason,
    milliseconds,
)
from ..core.records.running_cost import RunningCost, note_price, note_usage
from ..core.records.shown_name import shortened
from ..core.records.traceparent import Trace
from ..core.records.usage import Usage
from ..core.routing.causes import Cause
from ..core.routing.deployment import Deployment
from ..errors import GatewayError
from ..stops import stops
from .outcomes import BY_CAUSE, Committed, Failed
from .reservation import Reservation
from .services import Services

# Cut while the provider was at work, by the caller, its deadline, our exit or an operator.
_CUT: Final = (Cause.CLIENT_GONE, Cause.ABANDONED, Cause.TOTAL_TIMEOUT, *BY_CAUSE)
_CUT_WORDS: Final = frozenset(each.value for each in _CUT)


class Settlement:
    """The account of one exchange. Others read `record`; only methods of this class write it.

    `prompt` is about how many tokens the prompt has. `reservation` is what the caller's limits
    have reserved, if it has any, and `capture` what the debug log collects.
    """

    def __init__(self, services: Services, record: Record, trace: Trace | None) -> None:
        self.record: Final = record
        self.trace: Final = trace
        self.started = trio.current_time()
        self._stopped_before = stops().total
        self.prompt = 0
        self.reservation: Reservation | None = None
        self.capture: Capture | None = None
        self.reason: EndReason | None = None
        self._services = services
        # About how many tokens were sent to a provider and cut before it answered.
        self._unanswered = 0
        # What the provider says of its answer, and about how many tokens of text it has.
        self._reported: Usage | None = None
        self._text = 0
        # What the answer took: as reported, and estimated where that says too little.
        self._used: Usage | None = None
        self._spending = RunningCost(record)
        self._shared: _SharedRecord | None = None

    def stopped(self) -> float:
        """Return for how many seconds the process was stopped since the request arrived."""
        return stops().total - self._stopped_before

    def waited(self, seconds: float) -> None:
        """Count what the request waited before it could begin: its client did."""
        self.started -= seconds
        self.record.time -= seconds

    def __repr__(self) -> str:
        return f"<Settlement of {self.record.request_id}: {self.reason or 'under way'}>"

    # What the request is...

    def identify(self, caller: Caller) -> None:
        """Note whose key the request came with."""
        note_caller(self.record, caller.name, caller.team, caller.labels, caller.granted_to)

    def asked(self, request: Asked) -> None:
        """Note what is asked for."""
        record = self.record
        record.model, record.stream = shortened(request.model), request.stream
        note_user(record, request.user)

    def costs_nothing(self, *, cached: bool, operation: str = "") -> None:
        """Note that the answer was made for another request, which has its cost, or is free."""
        self.record.cost_nano_usd, self.record.cached = 0, cached
        self.record.operation = operation or self.record.operation

    # What its attempts came to...

    def attempt(self, row: AttemptRecord, dropped: tuple[str, ...] = ()) -> None:
        """Note an attempt that begins, and what of the request its API cannot say."""
        self.record.attempts.append(row)
        self.record.dropped = [*dropped]

    def first_event(self, deployment: Deployment, now: float) -> None:
        """Note whose answer is shown, and that it begins now."""
        self.record.first_event_ms = milliseconds(now - self.started)
        self.shows(deployment)

    def shows(self, deployment: Deployment) -> None:
        """Note whose answer or refusal is shown."""
        self.record.provider = deployment.provider
        self.record.provider_model = deployment.model

    def fell_back(self, model: str | None) -> None:
        """Note which fallback model answers, by its public name; None: the one asked for."""
        self.record.fallback_model = None if model is None else shortened(model)

    def skip(self, deployment: Deployment, reason: str) -> None:
        """Note a deployment that the request goes past now."""
        self.record.skipped.append(
            SkipRecord(
                provider=deployment.provider,
                model=deployment.model,
                reason=reason,
                at_ms=milliseconds(trio.current_time() - self.started),
            )
        )

    def answered(self, usage: Usage | None, text_tokens: int) -> None:
        """Note what the provider says was used, None: nothing, and about how much text came."""
        self._reported, self._text = usage, text_tokens
        if usage is not None:
            note_usage(self.record, usage)

    def streamed(self, events: int, malformed: int) -> None:
        """Note how many events there were, and how many could not be read."""
        self.record.events, self.record.malformed_events = events, malformed

    def attempt_ended(
        self,
        row: AttemptRecord,
        prices: Prices,
        outcome: Committed | Failed | None,
        cause: Cause | None,
    ) -> int:
        """Charge for an attempt; return its tokens, or about how many.

        Usage comes with a stream's last event. A caller with limits that leaves before it would
        pay nothing and have no budget at all, so what it took is estimated.
        """
        if cause is Cause.HEDGED:
            # The provider has read the prompt and will want it paid; more is not known.
            self._estimate(row, prices, Usage(self.prompt))
            return self.prompt
        if not isinstance(outcome, Committed) and self.record.first_event_ms is None:
            if cause in _CUT:
                self._unanswered += self.prompt
                self._guess(row, prices, Usage(self.prompt))
            return 0
        reported = self._reported
        if reported is not None and reported.counts:
            # A whole answer is known to the end, though its caller may not have taken all of it.
            ended = cause is None or not self.record.stream
            used = self._used = reported.with_text(self._text, whole=ended).with_prompt(self.prompt)
            whole = used is reported and not used.partial
            # A part is less than the cost, and is charged only to those with limits.
            tells = used.counts_input and (self.reservation is not None or not used.partial)
            known = cost(used, prices) if tells else None
            if not whole:
                row.cost_nano_usd = known
            self._charge(known, prices, used, "provider" if whole else "estimated")
        else:
            used = self._used = Usage(self.prompt, self._text)
            self._guess(row, prices, used)
        return used.total

    def _guess(self, row: AttemptRecord, prices: Prices, usage: Usage) -> None:
        """Charge `usage`, of which nothing was reported, to a caller with limits.

        Of nothing at all the cost is no zero: what is not billed by its text is not known.
        """
        if self.reservation is None or not usage.total:
            self._spending.charge(0 if prices.free else None)
        else:
            self._estimate(row, prices, usage)

    def _estimate(self, row: AttemptRecord, prices: Prices, usage: Usage) -> None:
        row.cost_nano_usd = cost(usage, prices)
        self._charge(row.cost_nano_usd, prices, usage, "estimated")

    def _charge(
        self, nano_usd: int | None, prices: Prices, usage: Usage, counted: CountedBy
    ) -> None:
        self._spending.charge(nano_usd)
        if nano_usd is not None:
            note_price(self.record, prices, usage, counted)

    def spent(self, usage: Usage | None, prices: Prices) -> None:
        """Charge what was used before this request, which is no use of limits on tokens."""
        self.answered(usage, 0)
        known = None if usage is None else cost(usage, prices)
        self._charge(known, prices, usage or Usage(), "provider")

    # How it ended...

    def end(self, reason: EndReason, message: str | None = None) -> None:
        """Say how the request ended. The first word counts: what follows is its consequence."""
        if self.reason is None:
            self.reason = reason
            if reason is not EndReason.COMPLETE:
                self.record.error = message

    def refused(self, error: GatewayError) -> None:
        """Note that the caller is answered with `error`."""
        self.end(end_reason(error), error.message)
        self.record.error_code = error.code

    def branch(self) -> Settlement:
        """Return the settlement of a shared call; what was reserved is settled by that call."""
        record = msgspec.structs.replace(self.record, attempts=[], skipped=[])
        call = Settlement(self._services, record, self.trace)
        call.started, call.prompt = self.started, self.prompt
        call.reservation, self.reservation = self.reservation, None
        if call.reservation is not None:
            # The call may end long before the caller has read its answer.
            call.reservation.keep_place()
        self._shared = call._shared = _SharedRecord(self, call)
        return call

    async def settle(self, status: int | None) -> None:
        """Close the account. `status` is what the caller was sent; None if it got nothing."""
        record, now = self.record, trio.current_time()
        record.end_reason = self.reason or EndReason.SHUTTING_DOWN
        record.status, record.latency_ms = status or 499, milliseconds(now - self.started)
        if record.provider is None:
            self._name_who_was_asked()
        if self.reservation is not None:
            tokens = self._unanswered if self._used is None else self._used.total
            await self.reservation.settle(tokens, self._spending.known)
        if self._shared is None:
            self._write(record)
        else:
            self._shared.settled(self)

    def _name_who_was_asked(self) -> None:
        """Let the record of a request that was cut before its answer name the provider."""
        asked = next(
            (each for each in reversed(self.record.attempts) if each.cause in _CUT_WORDS), None
        )
        if asked is not None:
            self.record.provider, self.record.provider_model = asked.provider, asked.model

    def _write(self, record: Record) -> None:
        services = self._services
        if services.traffic.refused.keeps(record):
            services.recorder.record(record, self.trace)
        if self.capture is not None and services.captures is not None:
            services.captures.finish(self.capture, record)


class _SharedRecord:
    """The one record of a caller and of the call that is made for it and for others."""

    def __init__(self, caller: Settlement, call: Settlement) -> None:
        self._caller = caller
        self._call = call
        self._open = {id(caller), id(call)}

    def settled(self, settlement: Settlement) -> None:
        """Take note of one of the two; write the record with the second."""
        self._open.discard(id(settlement))
        if self._open:
            return
        caller = self._caller.record
        record = msgspec.structs.replace(
            self._call.record,
            status=caller.status,
            end_reason=caller.end_reason,
            error=caller.error,
            error_code=caller.error_code,
            latency_ms=caller.latency_ms,
        )
        self._caller._write(record)
        # Else each shared call would leave a cycle of references.
        self._caller._shared = self._call._shared = None
