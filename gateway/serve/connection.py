"""One client's connection: Hypercorn's `TCPServer` with our own way of running it.

Two tasks share a connection. The reader (`byte_stream.py`) watches the socket; the other takes one
request after another from what was read and runs the app on it, in this one task, so requests
can't overtake each other and none costs a new task.

    reader --> inbox --> head -> gate -> Cycle       (receive, send) -> app
                          ^_______________________________________________|
                                while both sides are done with it

EOF from the client ends everything, also when it only closed its sending half: a client that
really left can't be told from one that will still read, and tokens cost money (HAProxy's
`option abortonclose` decides likewise). HTTP/2 and h2c are never spoken: an upgrade may be ignored
(RFC 9110 section 7.8). WebSocket is, where the API has it (`websocket/`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, LifespanState
from hypercorn.utils import parse_socket_addr

from ..core.limits.shedding import SOONEST
from ..errors import SendStalled, out_of_memory
from ..stops import RunningScope, stops
from . import gate
from .cycle import RequestCycle
from .entry.idle import Presence
from .entry.request_head import make_scope, read_request
from .entry.threshold import Threshold
from .gate import HeadRefusal
from .open_connections import OpenConnections
from .surroundings.proxy_protocol import peer_of
from .websocket.opening import Cycle, cycle_of


class ClientConnection(TCPServer):
    def __init__(
        self,
        connections: OpenConnections,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: LifespanState,
        stream: trio.SSLStream[trio.SocketStream],
    ) -> None:
        super().__init__(app, config, context, state, stream)
        connections.adopt(config, context)
        self._connections = connections
        self._policy = connections.policy()
        self._run_app: Any = app
        self._tls = isinstance(stream, trio.SSLStream)
        self._transport: Any = stream.transport_stream if self._tls else stream
        timeout = self._policy.send_timeout
        self._byte_stream = connections.bytes_of(stream, self._transport, timeout)
        self._cycle: Cycle | None = None
        self._nursery: trio.Nursery | None = None
        self._presence = Presence(self._byte_stream.wake)
        self._served = 0
        self._head = b""  # the latest, as far as it has come
        self._threshold = Threshold(
            connections.entrance, connections.dismissal, self._byte_stream, self._policy
        )

    def __repr__(self) -> str:
        state = "gone" if self._byte_stream.gone else repr(self._cycle) if self._cycle else "idle"
        return f"<ClientConnection {state}, {self._served} served>"

    async def run(self) -> None:
        try:
            if not await self._greet():
                return
            with self._connections.joined(self, self._presence):
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    nursery.start_soon(self._read)
                    nursery.start_soon(self._serve)
        except Exception:  # noqa: BLE001
            # One connection's fault must not end the worker and all the others with it.
            await self.config.log.exception("Error in a connection")
        finally:
            self._threshold.leave()
            self._connections.progress.forget(self._byte_stream)
            # Both lead back here, and would leave its last request to the garbage collector.
            self._cycle = self._nursery = None
            await trio.aclose_forcefully(self._transport)

    def expect(self, data: bytes, waited: float | None) -> None:
        """Begin with `data`, which has arrived; its request has had its turn after `waited`."""
        self._byte_stream.inbox += data
        self._threshold.waited = waited

    def retire(self) -> None:
        """Close the connection now if it is idle, else when its request is done."""
        self._byte_stream.wake()

    def abort(self) -> None:
        """Cancel everything on the connection."""
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel("the server has no more time")

    async def _greet(self) -> bool:
        """Shake hands if the stream is TLS, and note both ends' addresses."""
        socket = self._transport.socket
        try:
            client = await peer_of(socket, self._policy)
            if self._tls:
                with trio.fail_after(self.config.ssl_handshake_timeout):
                    await self.stream.do_handshake()
        except (OSError, trio.BrokenResourceError, trio.TooSlowError):
            # One of them, reset between the kernel's accept and ours.
            return False
        self._threshold.host = self._presence.host = client[0] if client else "unix"
        self._base_scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.1"},
            "scheme": "https" if self._tls else "http",
            "root_path": self.config.root_path,
            "client": client,
            "server": parse_socket_addr(socket.family, socket.getsockname()),
        }
        return True

    async def _read(self) -> None:
        await self._byte_stream.read(self._take_over, self._all_asked, self._deal_with)
        if isinstance(self._cycle, RequestCycle):
            self._cycle.tell_gone()

    # One request after another...

    async def _serve(self) -> None:
        while True:
            asked = await self._next_request()
            if asked is None:
                # Idle: nothing was just said that a reset could take from the client.
                await self._byte_stream.lose()
                return
            if isinstance(asked, HeadRefusal):
                await self._refuse(asked)
                break
            await self._answer(asked)
            if self._cycle is not asked:
                return  # taken over
            if not self._recycle(asked):
                break
        await self._byte_stream.linger()

    def _recycle(self, cycle: Cycle) -> bool:
        """Make ready for the next request; say whether there can be one."""
        stream = self._byte_stream
        if stream.gone or stream.overrun or self.context.terminated.is_set() or not cycle.reusable:
            return False
        self._cycle = None
        self._presence.idle_since = trio.current_time()
        return True

    def _take_over(self) -> None:
        # The client asks again while the app still keeps books: only this costs a new task.
        done = self._cycle is not None and self._cycle.complete and self._recycle(self._cycle)
        if done and self._nursery is not None:
            self._nursery.start_soon(self._serve)

    def _deal_with(self, data: bytes) -> bool:
        return self._cycle is None and self._threshold.deal_with(data)

    def _all_asked(self) -> bool:
        return self._cycle is not None and self._cycle.body_ended

    async def _next_request(self) -> Cycle | HeadRefusal | None:
        """Return what to run the app on, or refuse; None when nothing more will come."""
        head = await self._next_head()
        while isinstance(head, bytes) and not await self._threshold.turn(head):
            if not await self._threshold.turn_away(head):
                return gate.too_much(int(SOONEST))
            head = await self._next_head()
        if not isinstance(head, bytes):
            return head
        self._presence.idle_since = None
        asked = read_request(head, self._policy.max_header_bytes)
        if isinstance(asked, HeadRefusal):
            return asked
        if refusal := self._check_server_name(asked.headers):
            return refusal
        scope = make_scope(asked, self._base_scope, self.state)
        if waited := self._threshold.begin():
            scope["extensions"]["gateway.waited"] = {"seconds": waited}
        most = self._policy.max_message_bytes
        self._cycle = cycle_of(self._byte_stream, self, asked.parser, scope, head, most)
        self._served += 1
        return self._cycle

    async def _next_head(self) -> bytes | HeadRefusal | None:
        inbox = self._byte_stream.inbox
        searched = 0
        stopped = stops()
        # When to give up, in time in which the process ran: what came while it was stopped was not
        # late. Known only once there is something to wait for.
        deadline, timeout = math.inf, self._policy.keep_alive_timeout
        while not self._byte_stream.gone:
            while inbox.startswith(b"\r\n"):
                # RFC 9112 section 2.2: old clients send one behind a body.
                del inbox[:2]
            if inbox:
                if searched == 0:
                    deadline, timeout = math.inf, self._policy.header_timeout
                end = gate.find_head_end(inbox, searched)
                if end >= 0:
                    head = self._head = self._byte_stream.take(end)
                    return gate.check_head(head, self._policy) or head
                searched = len(inbox)
                if refusal := gate.check_unfinished(inbox, self._policy):
                    self._head = bytes(inbox)
                    return refusal
            elif self.context.terminated.is_set() or self._presence.dismissed:
                return None
            if deadline == math.inf:
                deadline = trio.current_time() - stopped.total + timeout
            with RunningScope(deadline + stopped.total) as patience:
                await self._byte_stream.wait_arrival()
            if patience.cancelled_caught and not self._threshold.holds:
                self._head = bytes(inbox)
                return gate.HEAD_TOO_LATE if inbox else None
        return None

    def _check_server_name(self, headers: list[tuple[bytes, bytes]]) -> HeadRefusal | None:
        names = self.config.server_names
        if not names or dict(headers).get(b"host", b"").decode("latin-1") in names:
            return None
        return gate.WRONG_HOST

    # One answer...

    async def _answer(self, cycle: Cycle) -> None:
        """Run the app on one request, and answer in its place if it did not."""
        await self.context.mark_request()
        spawn = (trio.to_thread.run_sync, trio.from_thread.run)
        try:
            await self._run_app(cycle.scope, cycle.receive, cycle.send, *spawn)
        except Exception as error:  # noqa: BLE001  # one request's fault must not end the worker
            if out_of_memory(error):
                cycle.refusal = gate.NO_MEMORY
            await self._report(error)
        except BaseExceptionGroup as group:
            faults = group.split(trio.Cancelled)[1]
            if isinstance(faults, ExceptionGroup):
                await self._report(faults)
            raise
        finally:
            # It leads back to the scope, and would leave both to the garbage collector.
            cycle.scope["extensions"].pop("gateway.request", None)
        if cycle.response is None and not self._byte_stream.gone:
            await self._refuse(cycle.refusal or gate.APP_FAILED, cycle)
        elif not cycle.complete:
            # No terminating chunk follows: it would make an unfinished answer look whole.
            await self._write_last(cycle.take_held())
        response: Any = cycle.response
        await self.config.log.access(cycle.scope, response, time.time() - cycle.began)  # type: ignore[arg-type]

    async def _report(self, error: Exception) -> None:
        news: Exception | None = None if isinstance(error, SendStalled) else error
        if isinstance(error, ExceptionGroup):
            news = error.split(SendStalled)[1]
        # A client that stalled is no fault of the app's, and the app was told of it.
        if news is not None:
            await self.config.log.error("Error in ASGI Framework", exc_info=news)

    async def _refuse(self, refusal: HeadRefusal, cycle: Cycle | None = None) -> None:
        bodiless = cycle is not None and cycle.bodiless
        await self._write_last(self._connections.refusal(refusal, self._head, bodiless=bodiless))

    async def _write_last(self, data: bytes) -> None:
        try:
            await self._byte_stream.write(data)
        except SendStalled:
            return  # it is closed, as it was about to be

    def answer_complete(self) -> None:
        self._byte_stream.wake()
        if self._byte_stream.inbox:
            self._take_over()

    def answer_headers(self) -> Iterable[tuple[bytes, bytes]]:
        headers = self._connections.answer_headers(self.config)
        limit = self._policy.max_requests_per_connection
        last = 0 < limit <= self._served
        ending = self._byte_stream.overrun or self.context.terminated.is_set()
        if last or ending or self._connections.lifecycle.moving:
            return [*headers, (b"connection", b"close")]
        return headers
