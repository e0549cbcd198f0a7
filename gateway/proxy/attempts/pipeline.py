"""The attempts of one request, one after another, until one is shown to the caller.

`core/routing/attempts.py` decides, `attempt.py` and `relay.py` act, and this loop stands
between them: it waits, keeps the request's deadline, and writes down what each attempt did.
"""

from __future__ import annotations

import trio

from ...config.snapshot import ServedModel
from ...core.dialects.base import DialectRequest
from ...core.records.record import EndReason
from ...core.routing.attempts import Attempts
from ...core.routing.blame.source import Source
from ...core.routing.causes import RULES, Again, AttemptFailure, Cause, Skipped, Stop, Try
from ...core.routing.hedging import delay
from ...errors import GatewayError, SendStalled
from ...stops import RunningScope
from ..exchange import Exchange
from ..options import DEFAULT, ServingOptions
from ..outcomes import BY_CAUSE, Committed, Failed, RelayEnd
from .answer_headers import provider_headers
from .hedge import Race
from .lease import acquire_lease
from .log import AttemptLog
from .preface import begin_stream
from .provider_call import ProviderCalls
from .refusal import shown_refusal
from .relay import Relay
from .trail import Trail
from .verdict import unavailable, verdict


class Pipeline:
    """Serves one request over the deployments of one model."""

    def __init__(
        self,
        exchange: Exchange,
        request: DialectRequest,
        model: ServedModel,
        options: ServingOptions = DEFAULT,
    ) -> None:
        self._exchange = exchange
        self._model = model
        self._options = options
        self._services = exchange.services
        self._failures: list[tuple[int, Failed]] = []
        self._logs: list[AttemptLog] = []
        self._relay: Relay | None = None
        # A client's own retry is one for the providers, too.
        self._later = options.repeated
        caller = exchange.caller
        # Without tokens all callers have one name.
        self._source = Source(caller.name if caller.digest else None, request.body)
        self._trail = Trail(model, exchange.settlement, exchange.services.health, self._source)
        self._calls = ProviderCalls(exchange, request, model)
        latest, stopped = exchange.started + options.timeout, exchange.settlement.stopped
        self._deadline = model.deadlines(exchange.started, latest, stopped)

    async def run(self) -> None:
        """Answer the caller. Raises a GatewayError if no provider's answer is to be shown."""
        model, options, rng = self._model, self._options, self._services.rng
        now = trio.current_time()
        self._exchange.routed = True
        await self._calls.look()
        self._attempts = attempts = Attempts(
            options.retry(model.retry),
            model.order(now, rng, options.sticky_key, probing=options.probing, home=options.home),
            self._deadline,
            groups=model.groups,
            switch_on=model.switch_on,
        )
        step = attempts.first(now, rng)
        while isinstance(step, Try):
            tried = await self._try(step)
            if tried is None:
                return
            now = trio.current_time()
            if isinstance(tried, Skipped):
                self._trail.skip(step.target, tried)
                step = attempts.skip(step, now, rng)
            else:
                if tried.cause in model.switch_on:
                    self._trail.leave(tried.target)
                step = attempts.after(tried, now, rng)
        try:
            await self._give_up(step)
        except GatewayError as exc:
            if self._exchange.client.status is None:
                raise
            await self._exchange.refuse_in_stream(exc)

    async def _try(self, step: Try) -> AttemptFailure | Skipped | None:
        """Make one attempt and, if it commits, deliver it; None says it was delivered."""
        self._logs = []
        cut: Failed | None = None
        end: RelayEnd | None = None
        exchange = self._exchange
        try:
            with RunningScope(self._deadline(step.target), self._deadline.latest) as scope:
                exchange.cut_by(scope)
                if step.wait:
                    await trio.sleep(step.wait)
                first = await self._begin(step, hedge=False)
                if isinstance(first, Skipped):
                    return first
                winner = await self._run(first)
                if winner is not None:
                    end = await self._deliver(winner)
            if scope.cancelled_caught:
                # Committed, but its head may not have gone out: then the caller gets an answer.
                if self._winner() is not None and exchange.client.status is not None:
                    end = exchange.cut_short()
                else:
                    cut = exchange.out_of_time()
        except SendStalled as exc:
            self._stalled(str(exc))
            raise
        except Exception:
            cut = Failed(Cause.INTERNAL, "the gateway made a mistake")
            raise
        finally:
            relay = self._relay
            if relay is not None and relay.end is not None:
                # Cut or cancelled behind the end of the answer: the caller has it all.
                end = relay.end
                exchange.settlement.end(end.reason, end.message)
            await self._finish(cut, end)
        if end is not None:
            await exchange.conclude(end, sealed=relay is not None and relay.sealed)
            return None
        return self._failure(step, cut)

    def _stalled(self, message: str) -> None:
        """Take note of a caller that took nothing, however silent the provider was meanwhile."""
        for log in self._logs:
            if log.outcome is None and not log.hedged:
                log.outcome = Failed(Cause.CLIENT_GONE, message)

    async def _begin(self, step: Try, *, hedge: bool) -> AttemptLog | Skipped:
        """Take a place with a deployment and open the log of the attempt."""
        exchange, number = self._exchange, step.target
        if (cannot := await self._calls.cannot(number)) is not None:
            return cannot
        lease = await acquire_lease(
            self._services,
            exchange.snapshot,
            self._model.deployments[number],
            self._model.targets[number],
            caller=exchange.caller.name,
            source=self._source,
            demand=self._options.demand,
            deadline=self._deadline(number),
            later=self._later,
            hedge=hedge,
            pool=self._calls.pool,
        )
        if isinstance(lease, Skipped):
            return lease
        self._later = True
        self._trail.begin(number)
        dropped = self._calls.dropped(number)
        log = AttemptLog(exchange, lease, self._calls.pool, number, step.wait, dropped)
        self._logs.append(log)
        return log

    async def _run(self, first: AttemptLog) -> AttemptLog | None:
        """Let the attempt run, with others beside it if the model is hedged."""
        hedge, cap = self._model.hedge, self._model.hedge_cap
        after = None
        if hedge is not None and cap is not None:
            cap.request()
            usual = self._services.health.usual_first_event(self._model.targets[first.number])
            after = delay(hedge, usual)
        if hedge is None or after is None:
            first.outcome = await self._calls.make(first)
        else:
            await Race(first, self._calls.make).run(after, hedge.max_extra, self._another)
        return self._winner()

    async def _another(self) -> AttemptLog | None:
        hedge, cap = self._model.hedge, self._model.hedge_cap
        assert hedge is not None
        assert cap is not None
        running = [log.number for log in self._logs]
        now, rng = trio.current_time(), self._services.rng
        step = self._attempts.beside(running, now, rng, fallbacks=hedge.fallbacks)
        if step is None:
            return None
        begun: AttemptLog | Skipped | None = None
        spent = cap.spend()
        try:
            if spent:
                begun = await self._begin(step, hedge=True)
        finally:
            if isinstance(begun, Skipped):
                self._trail.skip(step.target, begun)
            if not isinstance(begun, AttemptLog):
                self._attempts.take_back(step)
                if spent:
                    cap.give_back()
        return begun if isinstance(begun, AttemptLog) else None

    def _winner(self) -> AttemptLog | None:
        return next((log for log in self._logs if isinstance(log.outcome, Committed)), None)

    async def _deliver(self, log: AttemptLog) -> RelayEnd:
        committed, deployment, exchange = log.outcome, log.lease.deployment, self._exchange
        assert isinstance(committed, Committed)
        exchange.settlement.fell_back(self._model.fallback(log.number))
        log.first_event()
        client, dialect = exchange.client, exchange.dialect
        rewriter = committed.rewriter
        if rewriter is None:
            given, limited = committed.response.headers, exchange.caller.limited
            shown = provider_headers(deployment, given, limited=limited)
            headers = (*shown, *exchange.provenance())
            await committed.response.aclose()
            exchange.settlement.answered(committed.usage, committed.text_tokens)
            try:
                await client.reply(200, (*dialect.answer_headers, *headers), committed.output)
            except SendStalled as exc:
                return RelayEnd(EndReason.SEND_TIMEOUT, str(exc))
            return RelayEnd(EndReason.COMPLETE)
        exchange.rewriter = rewriter
        relay = self._relay = Relay(
            client,
            committed,
            rewriter,
            idle=deployment.timeouts.idle,
            keep_alive=dialect.keep_alive,
            keep_alive_after=exchange.snapshot.server.keep_alive_comment,
            gaps=self._services.traffic.gaps,
        )
        try:
            if client.status is None:
                await begin_stream(exchange, deployment, committed.response)
            return await relay.run()
        finally:
            await committed.response.aclose()
            exchange.settlement.answered(rewriter.usage, rewriter.text_tokens)
            exchange.settlement.streamed(rewriter.events, rewriter.malformed)

    async def _finish(self, cut: Failed | None, end: RelayEnd | None) -> None:
        """Close the logs of this try; whatever was committed and not shown is closed too."""
        for log in self._logs:
            if isinstance(log.outcome, Committed):
                await log.outcome.response.aclose()
            if cut is not None and not isinstance(log.outcome, Failed) and not log.hedged:
                log.outcome = cut
            await log.finish(end if isinstance(log.outcome, Committed) else None)

    def _failure(self, step: Try, cut: Failed | None) -> AttemptFailure:
        """Return what the attempts of this try came to."""
        now, rng = trio.current_time(), self._services.rng
        found = [
            (log.failure(now), log.number, log.outcome)
            for log in self._logs
            if isinstance(log.outcome, Failed)
        ]
        # What decides comes last: a refusal of the request, of a key beside others, or the latest.
        found.sort(
            key=lambda each: (RULES[each[0].cause].again is Again.NOWHERE, each[0].another_key)
        )
        self._failures += [(number, failed) for _, number, failed in found]
        if not found:
            assert cut is not None
            self._failures.append((step.target, cut))
            return AttemptFailure(step.target, cut.cause)
        for failure, _, _ in found[:-1]:
            self._attempts.failed(failure, now, rng)
        return found[-1][0]

    async def _give_up(self, stop: Stop) -> None:
        """Tell the caller how the last attempt, or all of them, failed."""
        preface = self._calls.preface
        if preface is not None and preface.writing:
            raise SendStalled("the client took nothing of what came before the first event")
        skipped, now = self._trail.skipped, trio.current_time()
        if not self._failures:
            if (refused := self._calls.refused(skipped)) is not None:
                raise refused
            raise unavailable(stop, skipped, now, self._services.rng)
        number, last = self._failures[-1]
        deployment, settlement = self._model.deployments[number], self._exchange.settlement
        caller, dialect = self._exchange.caller, self._exchange.dialect
        refusal = shown_refusal(deployment, last, dialect, limited=caller.limited)
        if refusal is not None:
            settlement.fell_back(self._model.fallback(number))
            answer, headers = refusal
            await self._exchange.relay_rejection(deployment, answer, last.message, headers)
            return
        if last.cause in BY_CAUSE:
            raise self._exchange.stopped()
        failures = [(self._model.deployments[number], failed) for number, failed in self._failures]
        error, reason = verdict(stop, failures, skipped, now, self._services.rng)
        settlement.end(reason, error.message)
        raise error
