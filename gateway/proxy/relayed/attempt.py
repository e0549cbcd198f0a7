"""One call that is passed on as it came: its lease, its deadlines, its answer, its row.

the lease        slot, limits, breaker and key, as for every attempt
the call         with the body held if it is small, else while it comes in
the answer       an error whole, as it came, but for what it says of our key; all else streamed
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import trio

from ...core.dialects.recognised.units import UnitCounter
from ...core.dialects.recognised.usage import UsageFinder
from ...core.limits.ledger import Demand
from ...core.records.record import EndReason
from ...core.routing.blame.source import Source
from ...core.routing.call import BodySource, Call
from ...core.routing.causes import Cause, Skipped
from ...core.routing.deployment import Credential, Deployment
from ...core.routing.target import Target
from ...errors import CallerError, GatewayError, SendStalled
from ...stops import RunningScope
from ...transport_errors import StaleConnection, UpstreamFailure
from ..attempts.attempt import SizeLimits, failed_by, read_refusal
from ..attempts.lease import acquire_lease
from ..attempts.log import AttemptLog
from ..attempts.own_keys import KeyMask, mask_of
from ..attempts.reading.body import headers_shown, readable
from ..exchange import Exchange
from ..outcomes import Committed, Failed, RelayEnd
from ..protocols import UpstreamResponse
from .answer import AnswerRelay
from .batch_cost import BatchCost
from .headers import is_stream, is_text, length_of, to_caller
from .incoming import IncomingBody
from .upload import upload, with_upload_nursery

# They say how the gateway stands with its provider, which is the operator's to know.
OURS: Final = frozenset({Cause.AUTH_FAILED, Cause.ACCOUNT_REFUSED})
_WHOLE: Final = 200
_BODILESS: Final = frozenset({204, 205, 304})


class PassedCall(msgspec.Struct, frozen=True):
    """What is asked of `deployment`, whose state is `target`; `describe` makes the call.

    `body` is the caller's, which `source` sends as it comes in; None: `held` is all of it.
    `anything` says that the caller has chosen the path: what it is refused there says nothing of
    the key for anybody else. `read` looks at an answer that is to be passed on, and returns what
    is passed on instead. `units` counts what is not billed in tokens. `metered` says whether the
    answer may report what the request has used, and `batch` is the batch that it has the results
    of.
    """

    deployment: Deployment
    target: Target
    describe: Callable[[Credential], Call]
    body: IncomingBody
    held: bytes = b""
    source: BodySource | None = None
    demand: Demand = Demand()
    anything: bool = False
    read: Callable[[Call, UpstreamResponse], Awaitable[UpstreamResponse]] | None = None
    units: UnitCounter | None = None
    metered: bool = True
    batch: BatchCost | None = None


class AttemptTerms(msgspec.Struct, frozen=True):
    """How an attempt stands among those of its request: its number there, and the wait before it.

    `until` is when it must be over, in Trio's time, and `pool` are all that the request could go
    to.
    """

    until: float
    pool: tuple[Target, ...]
    number: int = 0
    wait: float = 0.0
    later: bool = False
    source: Source | None = None


class Passage:
    """One attempt, from its lease to the last byte of its answer."""

    def __init__(self, exchange: Exchange, passed: PassedCall, terms: AttemptTerms) -> None:
        self.log: AttemptLog | None = None
        # What relays an answer that is a stream of events.
        self._stream: AnswerRelay | None = None
        self._batch: BatchCost | None = None
        self._exchange = exchange
        self._passed = passed
        self._terms = terms

    async def run(self) -> RelayEnd | Failed | Skipped:
        """Return how the answer ended that was relayed, or why there was none to relay.

        Raises what the caller's body does, and SendStalled.
        """
        exchange, terms = self._exchange, self._terms
        end: RelayEnd | None = None
        cut: Failed | None = None
        try:
            with RunningScope(terms.until) as scope:
                exchange.cut_by(scope)
                if terms.wait:
                    await trio.sleep(terms.wait)
                if (skipped := await self._begin()) is not None:
                    return skipped
                end = await with_upload_nursery(self._attempt)
            if scope.cancelled_caught:
                if exchange.client.status is not None:
                    end = exchange.cut_short()
                else:
                    cut = exchange.out_of_time()
        except (CallerError, SendStalled) as exc:
            cut = Failed(Cause.CLIENT_GONE, str(exc))
            raise
        except GatewayError:
            raise
        except Exception:
            cut = Failed(Cause.INTERNAL, "the gateway made a mistake")
            raise
        finally:
            await self._finish(cut, end)
        if end is not None:
            await self._conclude(end)
            return end
        if self.log is None or not isinstance(self.log.outcome, Failed):
            assert cut is not None
            return cut
        return self.log.outcome

    async def _begin(self) -> Skipped | None:
        """Take a place with the deployment, or return why there is none."""
        exchange, passed, terms = self._exchange, self._passed, self._terms
        lease = await acquire_lease(
            exchange.services,
            exchange.snapshot,
            passed.deployment,
            passed.target,
            caller=exchange.caller.name,
            demand=passed.demand,
            deadline=terms.until,
            later=terms.later,
            source=terms.source,
            pool=terms.pool,
        )
        if isinstance(lease, Skipped):
            return lease
        self.log = AttemptLog(exchange, lease, terms.pool, terms.number, terms.wait)
        return None

    async def _finish(self, cut: Failed | None, end: RelayEnd | None) -> None:
        log = self.log
        if log is None:
            return
        if isinstance(log.outcome, Committed):
            await log.outcome.response.aclose()
        if cut is not None and not isinstance(log.outcome, Failed):
            log.outcome = cut
        await log.finish(end if isinstance(log.outcome, Committed) else None)

    async def _conclude(self, end: RelayEnd) -> None:
        """Take note of how the answer ended, and say so in a stream of events that broke.

        Clients take one that just stops for a whole one.
        """
        exchange = self._exchange
        exchange.settlement.end(end.reason, end.message)
        stream, batch = self._stream, self._batch
        if batch is not None and end.reason is EndReason.COMPLETE:
            await batch.charge()
        if end.reason in (EndReason.COMPLETE, EndReason.SEND_TIMEOUT):
            return
        if stream is None or stream.inside or exchange.client.sealed:
            return
        event = exchange.dialect.error_event(
            end.message or "", end.code or end.reason.value, "upstream_error"
        )
        await exchange.client.send(event)

    async def _attempt(self, upload_nursery: trio.Nursery) -> RelayEnd | None:
        """Return how the answer ended that was relayed; None if the attempt has failed."""
        log, deployment = self.log, self._passed.deployment
        assert log is not None
        call = self._passed.describe(log.lease.credential)
        call = msgspec.structs.replace(call, headers=(*call.headers, *log.trace_headers))
        try:
            if deployment.prepare is not None:
                call = await deployment.prepare(call, log.lease.credential, time.time())
            mask = mask_of(call.headers)
            response = await self._send(call, upload_nursery)
            response = headers_shown(readable(response), mask.headers)
            try:
                if response.status < 400:
                    if self._passed.read is not None:
                        response = await self._passed.read(call, response)
                    return await self._relay(log, response, call, mask)
                log.outcome = mask.failed(await self._refused(response))
            finally:
                await response.aclose()
        except UpstreamFailure as exc:
            log.outcome = mask_of(call.headers).failed(failed_by(exc))
        return None

    async def _send(self, call: Call, upload_nursery: trio.Nursery) -> UpstreamResponse:
        passed, upstream = self._passed, self._exchange.services.upstream
        if passed.source is not None:
            idle = passed.deployment.timeouts.idle
            return await upload(upstream, call, passed.source, idle, upload_nursery)
        call = msgspec.structs.replace(call, body=passed.held)
        try:
            return await upstream.request(call)
        except StaleConnection:
            return await upstream.request(call)

    async def _refused(self, response: UpstreamResponse) -> Failed:
        deployment, server = self._passed.deployment, self._exchange.snapshot.server
        cause = deployment.refusals.of_status(response.status) or Cause.REJECTED
        limits = SizeLimits(server.max_event_bytes, server.max_response_bytes)
        failed = await read_refusal(response, deployment, cause, limits, whole=True)
        if self._passed.anything and failed.cause in OURS:
            return msgspec.structs.replace(failed, cause=Cause.REJECTED)
        return failed

    async def _relay(
        self, log: AttemptLog, response: UpstreamResponse, call: Call, mask: KeyMask
    ) -> RelayEnd:
        exchange, deployment = self._exchange, self._passed.deployment
        log.outcome = Committed(response, b"", mask=mask)
        log.first_event()
        text = is_text(response.headers)
        length, bodiless = length_of(response.headers), call.method == b"HEAD"
        limited = exchange.caller.limited
        headers = [
            *to_caller(deployment, response.headers, limited=limited),
            *exchange.provenance(),
        ]
        if length is not None and (bodiless or not text):
            headers.append((b"content-length", b"%d" % length))
        # A part of the results, by `range`, does not say what the batch has used.
        self._batch = self._passed.batch if response.status == _WHOLE else None
        metered = text and self._passed.metered
        finder = UsageFinder(deployment.dialect.name) if metered else None
        units, end = self._passed.units, None
        try:
            await exchange.client.begin(response.status, headers)
            if bodiless or response.status in _BODILESS:
                await self._passed.body.stop()
                await exchange.client.finish(b"")
                return RelayEnd(EndReason.COMPLETE)
            events = is_stream(response.headers)
            relay = AnswerRelay(
                exchange.client,
                response,
                self._passed.body,
                idle=deployment.timeouts.idle,
                finder=finder,
                units=units,
                batch=self._batch,
                mask=mask if text else None,
                events=events,
            )
            self._stream = relay if events else None
            end = await relay.run()
            return end
        finally:
            usage = None if finder is None else finder.usage
            if units is not None:
                whole = end is not None and end.reason is EndReason.COMPLETE
                usage = units.usage(usage, deployment.prices, whole=whole)
            exchange.settlement.answered(usage, 0)
