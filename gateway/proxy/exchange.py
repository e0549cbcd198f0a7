"""One request from its first byte to its record: the nursery that everything of it lives in.

    exchange nursery
      watch     returns when the caller leaves; cancels the nursery
      work      the pipeline: attempts, pump, relay

Two scopes, for two kinds of end. The nursery's is cancelled when nobody listens any more: all
is released and nothing is sent. The work scope, inside it, is cut by the request's deadline or
by a shutdown, and then the caller is told. Whatever happens, the request is settled once.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

import structlog
import trio

from ..config.snapshot import ANYONE, Caller, Snapshot
from ..core.capture.capture import Capture
from ..core.limits.headers import rate_limit_headers
from ..core.limits.ledger import Grant
from ..core.records.client_metadata import note_client
from ..core.records.record import EndReason, Record, end_reason, milliseconds
from ..core.records.traceparent import Trace
from ..core.routing.causes import Cause
from ..core.routing.deployment import Deployment
from ..core.routing.target import Target
from ..errors import ClientGone, GatewayError, InternalError, SendStalled, ShuttingDown
from .attempts.attempt import Failed, RawAnswer
from .attempts.relay import RelayEnd
from .disconnect import cancel_on_disconnect
from .protocols import Client, HeaderPairs, State
from .services import Services
from .traffic.slots import SlotLease

_log = structlog.get_logger(__name__)

NO_HEADERS: Final[Mapping[bytes, bytes]] = MappingProxyType({})


class Exchange:
    """The state of one request. `request_id` is sane: printable ASCII.

    `headers` are the request's, by lower-case name. What is learned on the way: who the
    `caller` is, about how many tokens the `prompt` has, and from which `pool` of targets the
    deployment is chosen.
    """

    def __init__(
        self,
        services: Services,
        snapshot: Snapshot,
        client: Client,
        request_id: bytes,
        peer: str | None = None,
        headers: Mapping[bytes, bytes] = NO_HEADERS,
        trace: Trace | None = None,
    ) -> None:
        self.services = services
        self.snapshot = snapshot
        self.client = client
        self.request_id = request_id
        self.headers = headers
        self.trace = trace
        self.capture: Capture | None = None
        self.caller: Caller = ANYONE
        self.grant: Grant | None = None
        self.prompt = 0
        # About how many tokens were sent to a provider and cut before it answered.
        self.unanswered = 0
        # About how many tokens a whole answer has.
        self.answered = 0
        self.pool: tuple[Target, ...] = ()
        # For the list of exchanges in flight (`in_flight.py`).
        self.progress: Callable[[], int] | None = None
        self.shared = False
        self.started = trio.current_time()
        self.record = Record(request_id=request_id.decode("ascii"), time=time.time(), client=peer)
        if headers:
            note_client(self.record, headers, snapshot.kept_headers)
        if trace is not None:
            self.record.trace_id = trace.trace_id
        self._reason: EndReason | None = None
        self._scope: trio.CancelScope | None = None
        self._shutting_down = False
        self._lease: Grant | None = None
        self._place: SlotLease | None = None

    def __repr__(self) -> str:
        return f"<Exchange {self.record.request_id} {self._reason or 'under way'}>"

    async def run(self, work: Callable[[Exchange], Awaitable[None]]) -> None:
        """Do `work`, answer whatever error it raises, settle. Raises nothing but Cancelled."""
        in_flight = self.services.in_flight
        in_flight.enter(self)
        try:
            with self.services.lifecycle.exchange(self._shut_down):
                await self._run(work)
        finally:
            in_flight.leave(self)
            self._settle()

    async def _run(self, work: Callable[[Exchange], Awaitable[None]]) -> None:
        try:
            try:
                await work(self)
            except GatewayError as exc:
                await self._refuse(exc)
            except (ClientGone, SendStalled):
                raise
            except Exception:  # noqa: BLE001  # logged whole
                # The caller gets an answer and the log the whole story.
                _log.exception("request failed", request_id=self.record.request_id)
                await self._refuse(InternalError("the gateway made a mistake; its log has more"))
        except ClientGone:
            self.end(EndReason.CLIENT_GONE, "the client closed the connection")
        except SendStalled as exc:
            self.end(EndReason.SEND_TIMEOUT, str(exc))

    async def cancel_on_disconnect(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` until it is done or the caller leaves; then raise ClientGone."""
        try:
            await cancel_on_disconnect(self.client, work)
        except ClientGone:
            if self._reason is None:
                raise

    async def read_body(self) -> bytes:
        """Return the request's body, unless a shutdown comes first; that raises ShuttingDown."""
        server = self.snapshot.server
        with trio.CancelScope() as scope:
            self.cut_by(scope)
            return await self.client.read_body(server.max_body_bytes, server.body_timeout)
        raise self.shutting_down()

    def take_place(self, grant: Grant | None, place: SlotLease) -> None:
        """Hold what the request was admitted with."""
        self.grant = self._lease = grant
        self._place = place

    def give_place(self) -> None:
        """Let another request have the place of this one, whose answer is all but sent.

        A caller that goes on when it has the last byte would otherwise meet its own request,
        which still has some tidying to do, at a `max_concurrent` of 1.
        """
        lease, self._lease = self._lease, None
        if lease is not None:
            self.services.state.release(lease)
        if self._place is not None:
            self._place.give()

    def cut_by(self, scope: trio.CancelScope) -> None:
        """Let a shutdown cancel `scope`, the one that the request's deadline is on."""
        self._scope = scope
        if self._shutting_down:
            scope.cancel("shutting down")

    def out_of_time(self) -> Failed:
        """Return what a cut of the work scope means before the commit."""
        if self._shutting_down:
            return Failed(Cause.SHUTDOWN, "the gateway is shutting down")
        return Failed(Cause.TOTAL_TIMEOUT, f"the request took more than {self._seconds()} s")

    def cut_short(self) -> RelayEnd:
        """Return what a cut of the work scope means after the commit."""
        if self._shutting_down:
            return RelayEnd(EndReason.SHUTTING_DOWN, "the gateway is shutting down")
        return RelayEnd(EndReason.TOTAL_TIMEOUT, f"the request took more than {self._seconds()} s")

    async def conclude(self, end: RelayEnd, *, sealed: bool) -> None:
        """Take note of how a committed answer ended, and tell the caller if it broke.

        A broken stream gets an error event and no proper end: [DONE] or a last chunk would
        make half an answer look like a whole one. Once `sealed` by its last write, which was
        cut, nothing can be added to it.
        """
        self.end(end.reason, end.message)
        if end.reason in (EndReason.COMPLETE, EndReason.SEND_TIMEOUT) or not self.record.stream:
            return
        if sealed:
            return
        event = end.event and b"data: " + end.event.replace(b"\n", b"\ndata: ") + b"\n\n"
        await self.client.send(
            event or self.client.error_event(end.message or "", end.reason.value, "upstream_error")
        )

    async def relay_rejection(
        self, deployment: Deployment, answer: RawAnswer, message: str, headers: HeaderPairs
    ) -> None:
        """Show a provider's refusal as it came: clients match on its very words."""
        self.end(EndReason.PROVIDER_REJECTED, message)
        self.record.provider, self.record.provider_model = deployment.provider, deployment.model
        await self.client.reply(answer.status, headers, answer.body)

    def provenance(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that say how an answer came about."""
        record = self.record
        headers: list[tuple[bytes, bytes]] = []
        if record.provider is not None:
            # A wildcard lets callers choose the name: nothing that could end a header.
            model = (record.provider_model or "").encode("ascii", "replace")
            headers.append((b"x-gateway-provider", record.provider.encode("ascii", "replace")))
            headers.append((b"x-gateway-model", model))
        if record.attempts:
            headers.append((b"x-gateway-attempts", b"%d" % len(record.attempts)))
        return headers

    def about(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of every answer: how it came about, and what the caller has left."""
        headers = self.provenance()
        if self.caller.limited:
            headers += rate_limits(self.services.state, self.caller)
        return headers

    def shutting_down(self) -> ShuttingDown:
        """Return the error for a request that a shutdown has cut before its answer began."""
        return ShuttingDown("the gateway is shutting down", retry_after=1)

    def tokens_used(self) -> int:
        """Return how many tokens the answer took; about how many, if no provider said it."""
        record = self.record
        if record.input_tokens is not None:
            return record.input_tokens + (record.output_tokens or 0)
        if record.first_event_ms is None:
            return self.unanswered
        return self.prompt + self.answer_tokens()

    def answer_tokens(self) -> int:
        """Return about how many tokens of an answer there were; a provider knows better."""
        # A token an event is what most providers send.
        return self.record.events or self.answered

    def end(self, reason: EndReason, message: str | None = None) -> None:
        """Say how the request ended. The first word counts: what follows is its consequence."""
        if self._reason is None:
            self._reason = reason
            if reason is not EndReason.COMPLETE:
                self.record.error = message

    async def _refuse(self, error: GatewayError) -> None:
        self.end(end_reason(error), error.message)
        self.record.error_code = error.code
        if self.client.status is None:
            await self.client.refuse(error)

    def _shut_down(self) -> None:
        self._shutting_down = True
        if self._scope is not None:
            self._scope.cancel("shutting down")

    def _seconds(self) -> str:
        return f"{trio.current_time() - self.started:.4g}"

    def _settle(self) -> None:
        record = self.record
        # Cancelled from outside means that the server is being stopped hard.
        record.end_reason = self._reason or EndReason.SHUTTING_DOWN
        record.status = self.client.status or 499
        now = trio.current_time()
        record.latency_ms = milliseconds(now - self.started)
        if self.grant is not None:
            cost = record.cost_nano_usd or 0
            self.services.state.settle(self.grant, self.tokens_used(), cost, now, time.time())
        self.services.recorder.record(record, self.trace)
        if self.capture is not None and self.services.captures is not None:
            self.services.captures.finish(self.capture, record)


def rate_limits(state: State, caller: Caller) -> list[tuple[bytes, bytes]]:
    """Return the headers that say what a limited `caller` has left."""
    now = trio.current_time()
    return rate_limit_headers([state.standing(scope, now) for scope in caller.scopes])
