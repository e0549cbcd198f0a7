"""One request from its first byte to its record: the scopes that everything of it lives in.

    exchange scope    in the nursery of its connection; the connection's reader cancels it when
                      the caller leaves (under other servers a task beside the work does)
      work scope      the pipeline: attempts, pump, relay

The exchange's scope is cancelled when the caller has left: all is released, nothing is sent. The
work scope inside it is cut by a deadline, a shutdown or an operator, and then the caller is told.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

import trio

from ..config.callers import ANYONE, Caller
from ..config.snapshot import Snapshot
from ..core.dialects.base import Dialect, StreamRewriter
from ..core.records.client_metadata import note_client
from ..core.records.provenance import provenance
from ..core.records.record import EndReason, Record
from ..core.records.traceparent import Trace
from ..core.routing.causes import Cause
from ..core.routing.deployment import Deployment
from ..errors import ClientGone, GatewayError, SendStalled
from .disconnect import Departure, cancel_on_disconnect
from .failure import told
from .outcomes import CANCELLED, SHUTDOWN, Failed, RawAnswer, RelayEnd, StoppedRequest
from .protocols import Client, HeaderPairs
from .reservation import Reservation, rate_limits
from .services import Services
from .settlement import Settlement
from .traffic.body_memory import BodyHold
from .traffic.slots import SlotLease

NO_HEADERS: Final[Mapping[bytes, bytes]] = MappingProxyType({})


class Exchange:
    """One request's identity and lifetime. `request_id` is sane: printable ASCII.

    `dialect` is the caller's, `headers` are the request's, by lower-case name, and `caller` is
    who sends it, once that is known. What it comes to is accounted in `settlement`.
    """

    def __init__(
        self,
        services: Services,
        snapshot: Snapshot,
        client: Client,
        request_id: bytes,
        dialect: Dialect,
        peer: str | None = None,
        headers: Mapping[bytes, bytes] = NO_HEADERS,
        trace: Trace | None = None,
        settlement: Settlement | None = None,
    ) -> None:
        self.services = services
        self.snapshot = snapshot
        self.client = client
        self.request_id = request_id
        self.dialect = dialect
        self.headers = headers
        self.caller: Caller = ANYONE
        self.signed = False  # who sends it is known once its body, which is signed, was read
        if settlement is None:
            record = Record(
                request_id=request_id.decode("ascii"),
                time=time.time(),
                client=peer,
                operation=dialect.operation,
                trace_id=None if trace is None else trace.trace_id,
            )
            if headers:
                note_client(record, headers, snapshot.kept_headers)
            settlement = Settlement(services, record, trace)
        self.settlement: Final = settlement
        self.rewriter: StreamRewriter | None = None  # of the answer that is shown
        self.shared = False
        # Whether providers were to be asked; whose attempts are shown, if those of a shared call.
        self.routed = False
        self.shown: Record | None = None
        self._scope: trio.CancelScope | None = None
        self._stopped: StoppedRequest | None = None
        # Its places among the caller's requests and in the gateway.
        self._lease: Reservation | None = None
        self._slot: SlotLease | None = None
        self._hold: BodyHold | None = None

    @property
    def record(self) -> Record:
        """Return what is known of the request so far, to read."""
        return self.settlement.record

    @property
    def started(self) -> float:
        """Return when the request arrived, in Trio's seconds."""
        return self.settlement.started

    def branch(self, client: Client) -> Exchange:
        """Return the exchange of a call for this request that others share; see `Settlement`.

        The same request in every respect, but its answer goes to `client` and it lives and ends
        by itself.
        """
        branch = Exchange(
            self.services,
            self.snapshot,
            client,
            self.request_id,
            self.dialect,
            headers=self.headers,
            settlement=self.settlement.branch(),
        )
        branch.caller, branch.shared = self.caller, True
        branch._hold = None if self._hold is None else self._hold.shared()
        return branch

    def __repr__(self) -> str:
        return f"<Exchange {self.record.request_id} {self.settlement.reason or 'under way'}>"

    async def run(self, work: Callable[[Exchange], Awaitable[None]]) -> None:
        """Do `work`, answer whatever error it raises, settle. Raises nothing but Cancelled."""
        in_flight = self.services.in_flight
        in_flight.enter(self)
        try:
            with self.services.lifecycle.exchange(self._shut_down):
                await self._run(work)
        finally:
            in_flight.leave(self)
            if self._hold is not None:
                self._hold.release()
            await self.settlement.settle(self.client.status)

    async def _run(self, work: Callable[[Exchange], Awaitable[None]]) -> None:
        try:
            try:
                await work(self)
                return
            except (ClientGone, SendStalled):
                raise
            except Exception as exc:  # noqa: BLE001  # the caller gets an answer
                error = told(exc, self.record.request_id, self.services.rng)
            # Not in the block above: what failed may hold megabytes of the body.
            await self._refuse(error.with_traceback(None))
        except ClientGone:
            self.settlement.end(EndReason.CLIENT_GONE, "the client closed the connection")
        except SendStalled as exc:
            self.settlement.end(EndReason.SEND_TIMEOUT, str(exc))

    async def cancel_on_disconnect(
        self, work: Callable[[], Awaitable[None]], watched: Departure | None = None
    ) -> None:
        """Do `work` until it is done or the caller leaves; then raise ClientGone or SendStalled.

        `watched` tells that in place of the client, if it takes the body meanwhile.
        """
        try:
            await cancel_on_disconnect(watched or self.client, work)
        except (ClientGone, SendStalled):
            if self.settlement.reason is None:
                raise

    async def read_body(self) -> bytes:
        """Return the request's body, unless the request is stopped first; that raises."""
        server = self.snapshot.server
        # Of the server's own client alone.
        take = getattr(self.client, "take_arrived", None)
        arrived: bytes | None = None if take is None else take(server.max_body_bytes)
        if arrived is not None and self._stopped is None:
            await self.hold_body(len(arrived))
            return arrived
        with trio.CancelScope() as scope:
            self.cut_by(scope)
            return await self.client.read_body(server.max_body_bytes, server.body_timeout)
        raise self.stopped()

    async def hold_body(self, size: int) -> None:
        """Have room for `size` bytes of the request's body. Raises Overloaded."""
        if self._hold is None:
            caller, bodies = self.caller, self.services.traffic.bodies
            # Nobody may take the room of somebody else by saying the name of a pair.
            name = f"from {self.record.client}" if self.signed else caller.name
            self._hold = BodyHold(bodies, name, self.services.rng, caller.max_concurrent)
        await self._hold.grow(size)

    def take_place(self, reservation: Reservation | None, slot: SlotLease) -> None:
        """Hold what the request was admitted with."""
        self.settlement.reservation = self._lease = reservation
        self._slot = slot

    async def give_place(self) -> None:
        """Let another request have the place of this one, whose answer is all but sent.

        A caller that goes on would otherwise meet its own request at a `max_concurrent` of 1.
        """
        if self._slot is not None:
            self._slot.release()
        lease, self._lease = self._lease, None
        if lease is not None:
            await lease.release()

    def cut_by(self, scope: trio.CancelScope) -> None:
        """Let a shutdown or an operator cancel `scope`, on which the request's deadline is."""
        self._scope = scope
        if self._stopped is not None:
            scope.cancel(self._stopped.message)

    def out_of_time(self) -> Failed:
        """Return what a cut of the work scope means before the commit."""
        if self._stopped:
            return self._stopped.failed
        return Failed(Cause.TOTAL_TIMEOUT, f"the request took more than {self._seconds()} s")

    def cut_short(self) -> RelayEnd:
        """Return what a cut of the work scope means after the commit."""
        if self._stopped is not None:
            return self._stopped.end
        return RelayEnd(EndReason.TOTAL_TIMEOUT, f"the request took more than {self._seconds()} s")

    async def conclude(self, end: RelayEnd, *, sealed: bool) -> None:
        """Take note of how a committed answer ended, and tell the caller if it broke.

        A broken stream gets an error event and no proper end, which would make half an answer
        look like a whole one. Once `sealed` by its last write, which was cut, nothing can be
        added to it.
        """
        self.settlement.end(end.reason, end.message)
        over = sealed or end.reason in (EndReason.COMPLETE, EndReason.SEND_TIMEOUT)
        if over or not self.record.stream:
            return
        dialect, after = self.dialect, self.rewriter
        await self.client.send(
            dialect.relayed_error_event(end.event, after)
            if end.event
            else dialect.error_event(
                end.message or "", end.code or end.reason.value, "upstream_error", after
            )
        )

    async def relay_rejection(
        self, deployment: Deployment, answer: RawAnswer, message: str, headers: HeaderPairs
    ) -> None:
        """Show a provider's refusal as it came: clients match on its very words."""
        self.settlement.end(EndReason.PROVIDER_REJECTED, message)
        self.settlement.shows(deployment)
        if self.client.status is not None:
            await self.client.send(self.dialect.relayed_error_event(answer.body))
            return
        await self.client.reply(answer.status, headers, answer.body)

    async def refuse_in_stream(self, error: GatewayError) -> None:
        """End a stream that has begun, before any attempt was committed, with `error`."""
        # Its head may name a fallback, which has not answered after all.
        self.settlement.fell_back(None)
        self.settlement.refused(error)
        await self.client.send(self.dialect.error_event(error.message, error.code, error.type))

    def provenance(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that say how an answer came about."""
        return provenance(self.shown or self.record, routed=self.routed)

    async def about(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of every answer: how it came about, and what the caller has left."""
        headers = self.provenance()
        if self.caller.limited:
            headers += await rate_limits(self.services.limits, self.caller)
        return headers

    def stopped(self) -> GatewayError:
        """Return the error for a request stopped before its answer."""
        return (self._stopped or SHUTDOWN).error

    def cancel(self) -> None:
        """Stop the request for an operator; its caller is told."""
        self._stop(CANCELLED)

    async def _refuse(self, error: GatewayError) -> None:
        self.settlement.refused(error)
        client = self.client
        if client.status is None:
            await client.refuse(error)
        elif self.record.stream and not client.sealed:
            kind, after = error.type, self.rewriter
            await client.send(self.dialect.error_event(error.message, error.code, kind, after))

    def _shut_down(self) -> None:
        self._stop(SHUTDOWN)

    def _stop(self, why: StoppedRequest) -> None:
        self._stopped = self._stopped or why
        if self._scope is not None:
            self._scope.cancel(why.message)

    def _seconds(self) -> str:
        return f"{trio.current_time() - self.started:.4g}"
