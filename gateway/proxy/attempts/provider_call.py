"""The calls of one request: its body and headers as each deployment wants them."""

from __future__ import annotations

from collections.abc import Sequence

from ...config.snapshot import ServedModel
from ...core.dialects.base import DialectRequest
from ...core.dialects.translators import TranslatedRequest, Untranslatable, translate
from ...core.records.shown_name import shortened
from ...core.routing.capabilities.missing import Missing, missing, nothing_can
from ...core.routing.causes import UNABLE, Skipped, SkipReason
from ...core.routing.deployment import Deployment
from ...core.routing.target import Target
from ...errors import InvalidRequest
from ..exchange import Exchange
from ..outcomes import Committed, Failed
from .attempt import PreparedCall, SizeLimits, attempt_answer, attempt_stream
from .log import AttemptLog
from .preface import Preface
from .reading.whole import Reader


class ProviderCalls:
    """Calls providers for one request, as often as there are attempts.

    `preface` shows a caller what comes before the commit; None where attempts run side by side.
    """

    __slots__ = (
        "_exchange",
        "_limits",
        "_missing",
        "_model",
        "_refusal",
        "_request",
        "_translated",
        "pool",
        "preface",
    )

    def __init__(self, exchange: Exchange, request: DialectRequest, model: ServedModel) -> None:
        self._exchange = exchange
        self._request = request
        self._model = model
        # By the deployment's number: the request in its dialect, or why there is none.
        self._translated: dict[int, TranslatedRequest | None] = {}
        self._refusal: InvalidRequest | None = None
        # By the deployment's number: what the request needs and it has not.
        self._missing: dict[int, Missing] = {}
        # Those that can serve the request, beside which one is alone or not.
        self.pool: tuple[Target, ...] = model.targets
        if any(each.capabilities is not None for each in model.deployments):
            self._find_missing()
        self.preface = None if model.hedge is not None else Preface(exchange)
        server = exchange.snapshot.server
        self._limits = SizeLimits(event=server.max_event_bytes, response=server.max_response_bytes)

    def cannot(self, number: int) -> Skipped | None:
        """Return why the deployment `number` is passed over; None if it can serve the request."""
        deployment, exchange = self._model.deployments[number], self._exchange
        if (found := self._missing.get(number)) is not None:
            return Skipped(found.why)
        if deployment.takes(exchange.dialect):
            return None
        if number not in self._translated:
            try:
                self._translated[number] = translate(
                    self._request, exchange.dialect, deployment, exchange.record.time
                )
            except Untranslatable as exc:
                self._translated[number] = None
                message = f"{exc}; {deployment.name} cannot serve this request"
                self._refusal = InvalidRequest(message, code="unsupported", param=exc.member)
        if self._translated[number] is None:
            return Skipped(SkipReason.CANNOT_SERVE)
        return None

    def dropped(self, number: int) -> tuple[str, ...]:
        """Return what the deployment `number` is not sent of the request."""
        translated = self._translated.get(number)
        return () if translated is None else translated.dropped

    def refused(self, skipped: Sequence[tuple[Deployment, Skipped]]) -> InvalidRequest | None:
        """Return the error for a request that no deployment can serve; None for any other."""
        if any(each.why not in UNABLE for _, each in skipped):
            return None
        if not self._missing:
            return self._refusal
        deployments = self._model.deployments
        found = [(deployments[number].name, each) for number, each in self._missing.items()]
        error = nothing_can(shortened(self._request.model), found)
        if self._refusal is None:
            return error
        both = f"{self._refusal.message}; {error.message}"
        return InvalidRequest(both, code="unsupported", param=self._refusal.param)

    def _find_missing(self) -> None:
        """Look once for what the deployments declare that they have not."""
        model, dialect = self._model, self._exchange.dialect
        declared = [
            (number, deployment, can)
            for number, deployment in enumerate(model.deployments)
            if (can := deployment.capabilities) is not None
        ]
        sized = any(can.context_tokens is not None for _, _, can in declared)
        needs = self._request.needs(prompt=sized)
        for number, deployment, can in declared:
            found = missing(can, needs, translated=not deployment.takes(dialect))
            if found is not None:
                self._missing[number] = found
        if self._missing:
            able = (each for n, each in enumerate(model.targets) if n not in self._missing)
            self.pool = tuple(able)

    async def make(self, log: AttemptLog) -> Committed | Failed:
        """Make the attempt of `log`, up to what is worth showing."""
        exchange = self._exchange
        translated = self._translated.get(log.number)
        request = self._request if translated is None else translated
        name = self._model.answer_name(log.number)
        deployment, credential = log.lease.deployment, log.lease.credential
        call = deployment.call(
            request.body_for(deployment),
            exchange.request_id,
            stream=request.stream,
            credential=credential,
            extra=(*log.trace_headers, *deployment.forwarded(exchange.headers)),
            dialect=exchange.dialect.name,
        )
        prepared = PreparedCall(call, deployment, credential)
        upstream = exchange.services.upstream
        if request.stream:
            if self.preface is not None:
                self.preface.fallback = self._model.fallback(log.number)
            rewriter = request.start_stream(deployment, name, self._limits.event)
            return await attempt_stream(upstream, prepared, rewriter, self._limits, self.preface)
        return await attempt_answer(
            upstream,
            prepared,
            lambda body: request.rewrite_answer(deployment, name, body),
            # Numbers are never streamed.
            self._reader(deployment, name) if request.answers else None,
            self._limits,
        )

    def _reader(self, deployment: Deployment, name: bytes) -> Reader:
        """Return what makes the reader of a stream that comes for a whole answer."""
        return lambda: self._request.start_stream(deployment, name, self._limits.response)
