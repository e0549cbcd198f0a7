"""The calls of one request: its body and headers as each deployment wants them."""

from __future__ import annotations

from ...config.snapshot import ServedModel
from ...core.dialects.base import DialectRequest
from ...core.routing.causes import Skipped, SkipReason
from ...core.routing.deployment import Deployment
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

    __slots__ = ("_exchange", "_limits", "_model", "_request", "preface")

    def __init__(self, exchange: Exchange, request: DialectRequest, model: ServedModel) -> None:
        self._exchange = exchange
        self._request = request
        self._model = model
        self.preface = None if model.hedge is not None else Preface(exchange)
        server = exchange.snapshot.server
        self._limits = SizeLimits(event=server.max_event_bytes, response=server.max_response_bytes)

    def cannot(self, number: int) -> Skipped | None:
        """Return why the deployment `number` is passed over; None if it can serve the request."""
        if self._model.deployments[number].takes(self._exchange.dialect):
            return None
        return Skipped(SkipReason.CANNOT_SERVE)

    async def make(self, log: AttemptLog) -> Committed | Failed:
        """Make the attempt of `log`, up to what is worth showing."""
        request, exchange = self._request, self._exchange
        name = self._model.answer_name(log.number)
        deployment, credential = log.lease.deployment, log.lease.credential
        call = deployment.call(
            request.body_for(deployment),
            exchange.request_id,
            stream=request.stream,
            credential=credential,
            extra=log.trace_headers,
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
