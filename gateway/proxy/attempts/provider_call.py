"""The calls of one request: its body and headers as each deployment wants them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ...config.snapshot import ServedModel
from ...core.dialects.base import DialectRequest
from ...core.dialects.needs import Needs
from ...core.dialects.translators import (
    Translated,
    TranslatedEmbedding,
    Untranslatable,
    check_items,
    translate_any,
)
from ...core.limits.estimate import MOST_BYTES_PER_TOKEN
from ...core.records.shown_name import shortened
from ...core.routing.capabilities.missing import (
    Missing,
    answer_too_long,
    body_too_large,
    missing,
    nothing_can,
    too_long,
)
from ...core.routing.causes import UNABLE, Cause, Skipped, SkipReason
from ...core.routing.deployment import Deployment
from ...core.routing.target import Target
from ...errors import InvalidRequest
from ..exchange import Exchange
from ..operations.off_loop import beside_if_long
from ..outcomes import Committed, Failed
from .attempt import PreparedCall, SizeLimits, attempt_answer, attempt_stream
from .log import AttemptLog
from .parts.several_calls import attempt_calls
from .preface import Preface
from .reading.whole import Reader


class ProviderCalls:
    """Calls providers for one request, as often as there are attempts.

    `preface` shows a caller what comes before the commit; None where attempts run side by side.
    """

    __slots__ = (
        "_counted",
        "_exchange",
        "_left_out",
        "_limits",
        "_missing",
        "_model",
        "_outgrown",
        "_prompt",
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
        self._translated: dict[int, Translated | None] = {}
        self._refusal: InvalidRequest | None = None
        # By the deployment's number: what its provider refuses of the request.
        self._left_out: dict[int, tuple[str, ...]] = {}
        # By the deployment's number: what the request needs and it has not.
        self._missing: dict[int, Missing] = {}
        # Those that can serve the request, beside which one is alone or not.
        self.pool: tuple[Target, ...] = model.targets
        self._prompt = 0
        # The longest context, as far as it is known, of the deployments that found the prompt too
        # long for it.
        self._outgrown = 0
        self._counted = False
        self.preface = None if model.hedge is not None else Preface(exchange)
        server = exchange.snapshot.server
        self._limits = SizeLimits(event=server.max_event_bytes, response=server.max_response_bytes)

    async def look(self) -> None:
        """Find the deployments that cannot serve the request. Raises InvalidRequest (400)."""
        await beside_if_long(self._exchange, self._request.body, self._look)

    async def cannot(self, number: int) -> Skipped | None:
        """Return why the deployment `number` is passed over; None if it can serve the request."""
        return await beside_if_long(
            self._exchange, self._request.body, lambda: self._cannot(number)
        )

    def _look(self) -> None:
        model = self._model
        if any(each.capabilities is not None for each in model.deployments):
            self._find_missing()
        self._find_too_long()
        if self._missing:
            able = (each for n, each in enumerate(model.targets) if n not in self._missing)
            self.pool = tuple(able)

    def _needs(self, *, prompt: bool) -> Needs:
        self._count()
        return self._request.needs(prompt=prompt)

    def _count(self) -> None:
        """See to it once that the request has few enough items to look at each."""
        if not self._counted and self._request.answers:
            check_items(self._request.body)
            self._counted = True

    def _cannot(self, number: int) -> Skipped | None:
        deployment, exchange = self._model.deployments[number], self._exchange
        if (found := self._missing.get(number)) is not None:
            return Skipped(found.why)
        if self._outgrown and 0 < (deployment.context or 0) <= self._outgrown:
            # Another has refused it that takes as much or more.
            return Skipped(SkipReason.CONTEXT_TOO_SMALL)
        if deployment.takes(exchange.dialect):
            return self._unfit(number, deployment, self._request)
        if number not in self._translated:
            self._count()
            try:
                self._translated[number] = translate_any(
                    self._request, exchange.dialect, deployment, exchange.record.time
                )
            except Untranslatable as exc:
                self._translated[number] = None
                message = f"{exc}; {deployment.name} cannot serve this request"
                self._refusal = InvalidRequest(message, code="unsupported", param=exc.member)
        translated = self._translated[number]
        if translated is None:
            return Skipped(SkipReason.CANNOT_SERVE)
        return self._unfit(number, deployment, translated.inner)

    def _unfit(
        self, number: int, deployment: Deployment, request: DialectRequest
    ) -> Skipped | None:
        """Return why a provider with quirks of its own cannot be sent `request`, if it cannot."""
        fit = deployment.fit
        if fit is None:
            return None
        if fit.most_bytes is not None and len(request.body) > fit.most_bytes:
            self._missing[number] = body_too_large(len(request.body), fit.most_bytes)
            return Skipped(SkipReason.BODY_TOO_LARGE)
        self._left_out[number] = asked = fit.asked(request.body, request.members)
        member = None if deployment.drops else fit.matters(asked)
        if member is None:
            return None
        message = f"{deployment.provider} does not take {member!r}"
        message = f"{message}; {deployment.name} cannot serve this request"
        self._refusal = InvalidRequest(message, code="unsupported", param=member)
        return Skipped(SkipReason.CANNOT_SERVE)

    def dropped(self, number: int) -> tuple[str, ...]:
        """Return what the deployment `number` is not sent of the request."""
        translated = self._translated.get(number)
        dropped = () if translated is None else translated.dropped
        left_out = self._left_out.get(number, ())
        return tuple(dict.fromkeys((*dropped, *left_out))) if left_out else dropped

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
        needs = self._needs(prompt=sized)
        for number, deployment, can in declared:
            found = missing(can, needs, translated=not deployment.takes(dialect))
            if found is not None:
                self._missing[number] = found

    def _find_too_long(self) -> None:
        """Look for deployments whose model, by the data on it, cannot take the request."""
        request = self._request
        size = len(request.body)
        answer = request.answer_tokens
        for number, each in enumerate(self._model.deployments):
            if each.context is not None and size > each.context * MOST_BYTES_PER_TOKEN:
                self._prompt = self._prompt or self._needs(prompt=True).prompt
                found = too_long(self._prompt, each.context)
            elif answer and each.longest_answer is not None:
                # What is translated asks for no more than the model answers with.
                own = answer // (request.answers or 1)
                fits = own <= each.longest_answer or not each.takes(self._exchange.dialect)
                found = None if fits else answer_too_long(own, each.longest_answer)
            else:
                continue
            if found is not None:
                self._missing.setdefault(number, found)

    async def make(self, log: AttemptLog) -> Committed | Failed:
        """Make the attempt of `log`, up to what is worth showing."""
        outcome = await self._made(log)
        if isinstance(outcome, Failed) and outcome.cause is Cause.CONTEXT_LENGTH:
            self._outgrown = max(self._outgrown, log.lease.deployment.context or 0)
        return outcome

    async def _made(self, log: AttemptLog) -> Committed | Failed:
        exchange = self._exchange
        translated = self._translated.get(log.number)
        request = self._request if translated is None else translated
        name = self._model.answer_name(log.number)
        deployment, credential = log.lease.deployment, log.lease.credential
        body = await beside_if_long(
            exchange, self._request.body, lambda: self._body(request, deployment)
        )
        call = deployment.call(
            body,
            exchange.request_id,
            stream=request.stream,
            credential=credential,
            extra=(*log.trace_headers, *deployment.forwarded(exchange.headers)),
            dialect=exchange.dialect.name if translated is None else translated.operation,
        )
        prepared = PreparedCall(call, deployment, credential)
        upstream = exchange.services.upstream
        if isinstance(translated, TranslatedEmbedding) and len(translated.parts) > 1:
            return await self._several(translated, prepared, name)
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

    async def _several(
        self, request: TranslatedEmbedding, first: PreparedCall, name: bytes
    ) -> Committed | Failed:
        """Make the calls of a request whose inputs the provider takes in parts."""
        exchange, deployment = self._exchange, first.deployment
        bodies = await beside_if_long(
            exchange,
            request.body,
            lambda: [self._body(each, deployment) for each in request.parts],
        )
        replace = msgspec.structs.replace
        return await attempt_calls(
            exchange.services.upstream,
            [replace(first, call=replace(first.call, body=each)) for each in bodies],
            lambda number, body: request.parts[number].rewrite_answer(deployment, name, body),
            lambda bodies: request.rewrite_answers(deployment, name, bodies),
            self._limits,
        )

    @staticmethod
    def _body(request: DialectRequest, deployment: Deployment) -> bytes:
        body = request.body_for(deployment)
        return body if deployment.fit is None else deployment.fit.fitted(body)

    def _reader(self, deployment: Deployment, name: bytes) -> Reader:
        """Return what makes the reader of a stream that comes for a whole answer."""
        return lambda: self._request.start_stream(deployment, name, self._limits.response)
