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
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
import trio

from ..config.snapshot import Snapshot
from ..core.record import EndReason, Record, milliseconds
from ..core.routing.backoff import Rng
from ..core.routing.causes import Cause
from ..core.routing.deployment import Deployment
from ..core.routing.health import HealthTracker
from ..errors import CallerError, ClientGone, GatewayError, InternalError, SendStalled, ShuttingDown
from ..lifecycle import Lifecycle
from .attempt import Failed, RawAnswer
from .protocols import Client, HeaderPairs, Recorder, Upstream
from .relay import RelayEnd

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Services:
    """What every exchange of a process shares."""

    upstream: Upstream
    health: HealthTracker
    recorder: Recorder
    lifecycle: Lifecycle
    rng: Rng


class Exchange:
    """The state of one request. `request_id` is sane: printable ASCII."""

    def __init__(
        self,
        services: Services,
        snapshot: Snapshot,
        client: Client,
        request_id: bytes,
        peer: str | None = None,
    ) -> None:
        self.services = services
        self.snapshot = snapshot
        self.client = client
        self.request_id = request_id
        self.started = trio.current_time()
        self.record = Record(request_id=request_id.decode("ascii"), time=time.time(), client=peer)
        self._reason: EndReason | None = None
        self._scope: trio.CancelScope | None = None
        self._shutting_down = False

    def __repr__(self) -> str:
        return f"<Exchange {self.record.request_id} {self._reason or 'under way'}>"

    async def run(self, work: Callable[[Exchange], Awaitable[None]]) -> None:
        """Do `work`, answer whatever error it raises, settle. Raises nothing but Cancelled."""
        try:
            with self.services.lifecycle.exchange(self._shut_down):
                await self._run(work)
        finally:
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

    async def while_listening(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` until it is done or the caller leaves; then raise ClientGone."""
        error: Exception | None = None
        gone = False

        async def watch() -> None:
            nonlocal gone
            # The only sign of a client that left: Hypercorn's `send` keeps returning normally
            # (docs/discussion/closing.rst).
            await self.client.wait_gone()
            gone = True
            nursery.cancel_scope.cancel("client disconnected")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            try:
                await work()
            except Exception as exc:  # noqa: BLE001  # exception groups stop here
                error = exc
            nursery.cancel_scope.cancel("work done")
        if error is not None:
            raise error
        if gone and self._reason is None:
            raise ClientGone

    async def read_body(self) -> bytes:
        """Return the request's body, unless a shutdown comes first; that raises ShuttingDown."""
        server = self.snapshot.server
        with trio.CancelScope() as scope:
            self.cut_by(scope)
            return await self.client.read_body(server.max_body_bytes, server.body_timeout)
        raise ShuttingDown("the gateway is shutting down", retry_after=1)

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
        headers = (*headers, *self.headers(deployment))
        await self.client.reply(answer.status, headers, answer.body)

    def headers(self, deployment: Deployment) -> HeaderPairs:
        """Return the headers that say how an answer of `deployment` came about."""
        tries = b"%d" % len(self.record.attempts)
        provider = deployment.provider.encode("ascii", "replace")
        return ((b"x-gateway-provider", provider), (b"x-gateway-attempts", tries))

    def end(self, reason: EndReason, message: str | None = None) -> None:
        """Say how the request ended. The first word counts: what follows is its consequence."""
        if self._reason is None:
            self._reason = reason
            if reason is not EndReason.COMPLETE:
                self.record.error = message

    async def _refuse(self, error: GatewayError) -> None:
        if isinstance(error, ShuttingDown):
            self.end(EndReason.SHUTTING_DOWN, error.message)
        elif isinstance(error, CallerError):
            self.end(EndReason.REJECTED, error.message)
        else:
            self.end(EndReason.INTERNAL_ERROR, error.message)
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
        record.latency_ms = milliseconds(trio.current_time() - self.started)
        self.services.recorder.record(record)
