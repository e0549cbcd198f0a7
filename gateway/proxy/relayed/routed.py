"""A request for a model whose answer is passed on as it comes: attempts over its deployments.

`core/routing/attempts.py` decides, as for chats. Another attempt is made while nothing has been
shown and the body can be sent once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec
import trio

from ...config.snapshot import ServedModel
from ...core.dialects.recognised.units import UnitCounter
from ...core.routing.attempts import Attempts
from ...core.routing.blame.source import Source
from ...core.routing.call import BodySource, Call
from ...core.routing.causes import Skipped, SkipReason, Stop, Try
from ...core.routing.deployment import Credential, Deployment
from ..attempts.log import AttemptLog
from ..attempts.refusal import shown_refusal
from ..attempts.trail import Trail
from ..attempts.verdict import unavailable, verdict
from ..exchange import Exchange
from ..options import ServingOptions
from ..outcomes import BY_CAUSE, Failed, RelayEnd
from .attempt import AttemptTerms, Passage, PassedCall
from .headers import to_provider
from .incoming import IncomingBody


class OutgoingBody(Protocol):
    """What is sent to a deployment."""

    @property
    def live(self) -> bool:
        """Say whether some was sent that cannot be had again."""
        ...

    @property
    def mark(self) -> bytes:
        """Return what tells the body from others: some of it, or all."""
        ...

    def held_for(self, deployment: Deployment) -> bytes:
        """Return all of the body, if it is held, with the deployment's name of the model."""
        ...

    def source_for(self, deployment: Deployment) -> BodySource | None:
        """Return what sends the body; None if it is held."""
        ...


class RoutedRelay:
    """Serves one request over the deployments of `model`."""

    def __init__(
        self,
        exchange: Exchange,
        model: ServedModel,
        options: ServingOptions,
        incoming: IncomingBody,
        body: OutgoingBody,
        units: Callable[[], UnitCounter | None] = lambda: None,
    ) -> None:
        self._exchange = exchange
        self._model = model
        self._options = options
        self._incoming = incoming
        self._body = body
        # Makes what counts an attempt's units, as far as anything is billed by them.
        self._units = units
        self._failures: list[tuple[int, Failed]] = []
        self._later = options.repeated
        caller = exchange.caller
        self._source = Source(caller.name if caller.digest else None, body.mark)
        self._trail = Trail(model, exchange.settlement, exchange.services.health, self._source)
        latest, stopped = exchange.started + options.timeout, exchange.settlement.stopped
        self._deadline = model.deadlines(exchange.started, latest, stopped)

    async def run(self) -> None:
        """Answer the caller. Raises a GatewayError if no provider's answer is to be shown."""
        model, options, rng = self._model, self._options, self._exchange.services.rng
        now = trio.current_time()
        self._exchange.routed = True
        attempts = Attempts(
            options.retry(model.retry),
            model.order(now, rng, options.sticky_key, probing=options.probing, home=options.home),
            self._deadline,
            groups=model.groups,
            switch_on=model.switch_on,
        )
        step = attempts.first(now, rng)
        while isinstance(step, Try):
            passage = self._passage(step)
            tried = Skipped(SkipReason.CANNOT_SERVE) if passage is None else await passage.run()
            now = trio.current_time()
            if isinstance(tried, RelayEnd):
                return
            if isinstance(tried, Skipped):
                self._trail.skip(step.target, tried)
                step = attempts.skip(step, now, rng)
                continue
            assert passage is not None
            self._later = True
            step = self._after(attempts, step, tried, passage.log)
        await self._give_up(step)

    def _passage(self, step: Try) -> Passage | None:
        """Return the attempt to make; None if the deployment does not have the operation."""
        exchange, number = self._exchange, step.target
        deployment = self._model.deployments[number]
        if not deployment.takes(exchange.dialect):
            return None
        terms = AttemptTerms(
            self._deadline(number),
            self._model.targets,
            number,
            step.wait,
            self._later,
            self._source,
        )
        passed = PassedCall(
            deployment,
            self._model.targets[number],
            self._describer(deployment),
            self._incoming,
            held=self._body.held_for(deployment),
            source=self._body.source_for(deployment),
            demand=self._options.demand,
            units=self._units(),
        )
        self._trail.begin(number)
        exchange.settlement.fell_back(self._model.fallback(number))
        return Passage(exchange, passed, terms)

    def _describer(self, deployment: Deployment) -> Callable[[Credential], Call]:
        exchange = self._exchange

        def describe(credential: Credential) -> Call:
            own = (*credential.plain_headers, *deployment.forwarded(exchange.headers))
            call = deployment.call(
                b"",
                exchange.request_id,
                stream=False,
                credential=credential,
                dialect=exchange.dialect.name,
            )
            sent = (*to_provider(exchange.headers, own), call.headers[-1])
            return msgspec.structs.replace(call, headers=sent, unlike=True)

        return describe

    def _after(
        self, attempts: Attempts, step: Try, failed: Failed, log: AttemptLog | None
    ) -> Try | Stop:
        now, rng = trio.current_time(), self._exchange.services.rng
        self._exchange.settlement.fell_back(None)
        if log is None or not isinstance(log.outcome, Failed):
            self._failures.append((step.target, failed))
            return Stop.OUT_OF_TIME
        failure = log.failure(now)
        self._failures.append((step.target, log.outcome))
        following = attempts.after(failure, now, rng)
        # What was sent of the body is gone.
        return Stop.EXHAUSTED if self._body.live else following

    async def _give_up(self, stop: Stop) -> None:
        """Tell the caller how the last attempt, or all of them, failed."""
        exchange, deployments = self._exchange, self._model.deployments
        skipped, now, rng = self._trail.skipped, trio.current_time(), exchange.services.rng
        if not self._failures:
            raise unavailable(stop, skipped, now, rng)
        number, last = self._failures[-1]
        limited = exchange.caller.limited
        refusal = shown_refusal(deployments[number], last, exchange.dialect, limited=limited)
        if refusal is not None:
            answer, headers = refusal
            exchange.settlement.fell_back(self._model.fallback(number))
            await self._incoming.stop()
            await exchange.relay_rejection(deployments[number], answer, last.message, headers)
            return
        if last.cause in BY_CAUSE:
            raise exchange.stopped()
        failures = [(deployments[number], failed) for number, failed in self._failures]
        error, reason = verdict(stop, failures, skipped, now, rng)
        exchange.settlement.end(reason, error.message)
        raise error
