"""The attempts of one request, one after another, until one is shown to the caller.

`core/routing/attempts.py` decides, `attempt.py` and `relay.py` act, and this loop stands
between them: it waits, keeps the request's deadline, and writes down what each attempt did.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import trio

from ..config.snapshot import ServedModel
from ..core.chat import ChatRequest, body_for
from ..core.pricing import cost
from ..core.record import EndReason
from ..core.routing.attempts import Attempts, Failure, Stop, Try
from ..core.routing.causes import Cause
from ..core.routing.deployment import Deployment
from ..core.stream import StreamRewriter
from ..core.timeouts import deadline
from ..core.usage import Usage
from ..errors import SendStalled, ShuttingDown
from .attempt import Committed, Failed, Limits, attempt_answer, attempt_stream
from .attempt_log import AttemptLog
from .exchange import Exchange
from .protocols import HeaderPairs
from .relay import Relay, RelayEnd
from .verdict import verdict

_JSON: Final = (b"content-type", b"application/json")
_STREAM_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # nginx buffers answers unless told otherwise (ngx_http_proxy_module, proxy_buffering).
    (b"x-accel-buffering", b"no"),
)
# What of a provider's answer headers a caller gets, under a prefix of its own so that the two
# sources never mix; but for the limits, which clients pace themselves by and we have none of.
_RATE_LIMITS: Final = (b"limit", b"remaining", b"reset")
_PASSED_ON: Final = {
    b"x-request-id": b"x-provider-request-id",
    b"openai-organization": b"x-provider-openai-organization",
    b"openai-processing-ms": b"x-provider-openai-processing-ms",
    b"openai-version": b"x-provider-openai-version",
    **{
        b"x-ratelimit-%b-requests" % each: b"x-ratelimit-%b-requests" % each
        for each in _RATE_LIMITS
    },
    **{b"x-ratelimit-%b-tokens" % each: b"x-ratelimit-%b-tokens" % each for each in _RATE_LIMITS},
}
# And of a rejection that is relayed as it came.
_ABOUT_BODY: Final = {name: name for name in (b"content-type", b"content-encoding")}


class Pipeline:
    """Serves one chat completion over the deployments of one model."""

    def __init__(
        self,
        exchange: Exchange,
        request: ChatRequest,
        model: ServedModel,
        patience: float | None = None,
    ) -> None:
        """Take what to serve; `patience` is the caller's own limit in seconds, if it has one."""
        self._exchange = exchange
        self._patience = math.inf if patience is None else patience
        self._request = request
        self._deployments = model.deployments
        self._model_json = model.json_name
        self._services = exchange.services
        self._failures: list[tuple[Deployment, Failed]] = []
        self._relay: Relay | None = None
        server = exchange.snapshot.server
        self._limits = Limits(event=server.max_event_bytes, response=server.max_response_bytes)

    async def run(self) -> None:
        """Answer the caller. Raises a GatewayError if no provider's answer is to be shown."""
        started = self._exchange.started
        # A caller may ask for less time than the configuration gives, never for more.
        latest = started + self._patience
        deadlines = [
            min(deadline(started, each.timeouts.total), latest) for each in self._deployments
        ]
        attempts = Attempts(self._exchange.snapshot.retry, deadlines)
        step: Try | Stop = attempts.first()
        while isinstance(step, Try):
            failed = await self._try(step, deadlines[step.target])
            if failed is None:
                return
            failure = Failure(step.target, failed.cause, failed.retry_after)
            step = attempts.after(failure, trio.current_time(), self._services.rng)
        await self._give_up(step)

    async def _try(self, step: Try, total: float) -> Failed | None:
        """Make one attempt and, if it commits, deliver it; None says it was delivered."""
        deployment = self._deployments[step.target]
        log = AttemptLog(self._exchange, deployment, step.wait)
        outcome: Committed | Failed | None = None
        end: RelayEnd | None = None
        try:
            with trio.CancelScope(deadline=total) as scope:
                self._exchange.cut_by(scope)
                if step.wait:
                    await trio.sleep(step.wait)
                log.start()
                outcome = await self._call(deployment)
                if isinstance(outcome, Committed):
                    log.first_event()
                    end = await self._deliver(deployment, outcome)
            if scope.cancelled_caught:
                # Committed, but its head may not have gone out: then the caller gets an answer.
                if isinstance(outcome, Committed) and self._exchange.client.status is not None:
                    end = self._exchange.cut_short()
                else:
                    outcome = self._exchange.out_of_time()
        except SendStalled:
            raise
        except Exception:
            outcome = Failed(Cause.INTERNAL, "the gateway made a mistake")
            raise
        finally:
            relay = self._relay
            if relay is not None and relay.end is not None:
                # Cut or cancelled behind [DONE]: the caller has it all.
                end = relay.end
                self._exchange.end(end.reason, end.message)
            log.finish(outcome, end)
        if end is not None:
            await self._exchange.conclude(end, sealed=relay is not None and relay.sealed)
            return None
        assert isinstance(outcome, Failed)
        self._failures.append((deployment, outcome))
        return outcome

    async def _call(self, deployment: Deployment) -> Committed | Failed:
        request = self._request
        call = deployment.call(
            body_for(request, deployment), self._exchange.request_id, stream=request.stream
        )
        upstream = self._services.upstream
        if not request.stream:
            return await attempt_answer(
                upstream, call, self._model_json, deployment.timeouts, self._limits
            )
        rewriter = StreamRewriter(
            self._model_json,
            keep_usage=request.wants_usage,
            max_event_bytes=self._limits.event,
        )
        return await attempt_stream(upstream, call, rewriter, deployment.timeouts, self._limits)

    async def _deliver(self, deployment: Deployment, committed: Committed) -> RelayEnd:
        client = self._exchange.client
        headers = (
            *_clean(committed.response.headers, _PASSED_ON),
            *self._exchange.headers(deployment),
        )
        rewriter = committed.rewriter
        if rewriter is None:
            await committed.response.aclose()
            self._account(deployment, committed.usage)
            try:
                await client.reply(200, (_JSON, *headers), committed.output)
            except SendStalled as exc:
                return RelayEnd(EndReason.SEND_TIMEOUT, str(exc))
            return RelayEnd(EndReason.COMPLETE)
        relay = self._relay = Relay(
            client,
            committed,
            rewriter,
            idle=deployment.timeouts.idle,
            keep_alive=self._exchange.snapshot.server.keep_alive_comment,
        )
        try:
            await client.begin(200, (*_STREAM_HEADERS, *headers))
            return await relay.run()
        finally:
            await committed.response.aclose()
            self._account(deployment, rewriter.usage)
            self._exchange.record.events = rewriter.events
            self._exchange.record.malformed_events = rewriter.malformed

    def _account(self, deployment: Deployment, usage: Usage | None) -> None:
        if usage is None:
            return
        record = self._exchange.record
        record.input_tokens = usage.input_tokens
        record.output_tokens = usage.output_tokens
        record.cached_tokens = usage.cached_tokens
        record.reasoning_tokens = usage.reasoning_tokens
        record.cost_nano_usd = cost(usage, deployment.prices)

    async def _give_up(self, stop: Stop) -> None:
        """Tell the caller how the last attempt, or all of them, failed."""
        deployment, last = self._failures[-1]
        if last.cause is Cause.REJECTED and last.answer is not None:
            given = last.answer.headers
            about_body = _clean(given, _ABOUT_BODY) or [_JSON]
            await self._exchange.relay_rejection(
                deployment, last.answer, last.message, [*about_body, *_clean(given, _PASSED_ON)]
            )
            return
        if last.cause is Cause.SHUTDOWN:
            raise ShuttingDown(last.message, retry_after=1)
        error, reason = verdict(stop, self._failures)
        self._exchange.end(reason, error.message)
        raise error


def _clean(headers: HeaderPairs, names: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Return those `headers` that have a new name in `names`, under it."""
    # A control character would be legal for h11 and end up on somebody's terminal.
    return [
        (names[name], value)
        for name, value in headers
        if name in names and value.isascii() and value.decode().isprintable()
    ]
