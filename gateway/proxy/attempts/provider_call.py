"""One attempt's call: the caller's request as the deployment wants it."""

from __future__ import annotations

from ...config.snapshot import ServedModel
from ...core.dialects.openai_chat.request import ChatRequest, body_for
from ...core.dialects.openai_chat.stream import StreamRewriter
from ..exchange import Exchange
from .attempt import Committed, Failed, SizeLimits, attempt_answer, attempt_stream
from .log import AttemptLog


class Calling:
    """Calls providers for one request, as often as there are attempts."""

    __slots__ = ("_exchange", "_limits", "_model", "_request")

    def __init__(self, exchange: Exchange, request: ChatRequest, model: ServedModel) -> None:
        self._exchange = exchange
        self._request = request
        self._model = model
        server = exchange.snapshot.server
        self._limits = SizeLimits(event=server.max_event_bytes, response=server.max_response_bytes)

    async def call(self, log: AttemptLog) -> Committed | Failed:
        """Make the attempt of `log`, up to what is worth showing."""
        request, exchange, deployment = self._request, self._exchange, log.visit.deployment
        call = deployment.call(
            body_for(request, deployment),
            exchange.request_id,
            stream=request.stream,
            credential=log.visit.credential,
            extra=log.trace_headers,
        )
        upstream = exchange.services.upstream
        if not request.stream:
            return await attempt_answer(
                upstream, call, self._model.json_name, deployment.timeouts, self._limits
            )
        rewriter = StreamRewriter(
            self._model.json_name,
            keep_usage=request.wants_usage,
            max_event_bytes=self._limits.event,
        )
        return await attempt_stream(upstream, call, rewriter, deployment.timeouts, self._limits)
