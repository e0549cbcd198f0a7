"""Make HTTP/1.1 calls to providers over pooled connections.

What an exchange does to its slot and its connection:

    head and body sent, head read, body read to its end    connection goes back to the pool
    anything else: an error, cancellation, `aclose`        connection is closed, slot goes back

Both happen the moment they are known. With the last byte of the body that is usually before
its reader has even asked for more, so the next request can have the connection already.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Final

import trio

from ..core.routing.call import BodySource, Call, Origin
from ..core.wire.binary.socket_frames import SocketRefused
from ..core.wire.framing import frame
from ..stops import stops
from ..transport_errors import ConnectionLost, StaleConnection
from .body_sender import BodySender
from .connection import UpstreamConnection
from .dial import dial
from .heads import HeadReader, RequestHeads, ResponseHead
from .pool import Pool, PoolPolicy, PoolStats
from .response import Response
from .shortage import ShortageLog
from .sockets.opening import open_socket
from .sockets.socket import ProviderWebSocket

# Seconds from sending within which the loss of a connection that had been idle says that the
# provider had closed it before. Its reset needs one round trip, 0.3 s around the world, and as much
# again if a packet is lost on the way. Whatever is lost later may have been at work.
STALE_WITHIN: Final = 1.0


class CallPhase(enum.Enum):
    """What a request waits for, for callers that time these apart."""

    SENDING = "sending"
    WAITING = "waiting for the head"


OnPhase = Callable[[CallPhase], None]


class Transport:
    """An `Upstream`. Run `maintain` beside it, and `aclose` it at the end."""

    def __init__(self, policy: PoolPolicy | None = None) -> None:
        self.policy: Final = policy or PoolPolicy()
        self._heads = RequestHeads()
        self._pools: dict[Origin, Pool] = {}
        self._shortages = ShortageLog()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Transport {self._pools}>"

    def stats(self) -> dict[Origin, PoolStats]:
        return {origin: pool.stats for origin, pool in self._pools.items()}

    async def request(
        self, call: Call, *, pool_timeout: float | None = None, on_phase: OnPhase | None = None
    ) -> Response:
        """Send `call` and return its answer once the head has arrived.

        Has no deadline of its own but `call.connect_timeout` and the wait for a connection.
        Sends once: whether to send again after a `StaleConnection` is for who calls to decide.
        The next call then opens a new connection. Raises `UpstreamFailure`, and ValueError if
        the call can't be written as HTTP.
        """
        head = self._heads.render(call)
        pool = self._pool(call.origin)
        connection = await pool.acquire(
            self.policy.timeout if pool_timeout is None else pool_timeout
        )
        try:
            while connection is not None and not await connection.still_good():
                connection.close()
                connection = pool.take_idle()
            if connection is not None:
                reader, stopped = HeadReader(), stops()
                sent = trio.current_time() - stopped.total
                try:
                    return await self._exchange(pool, connection, call, head, reader, on_phase)
                except ConnectionLost as exc:
                    now = trio.current_time() - stopped.total
                    if reader.started or now - sent > STALE_WITHIN:
                        raise
                    # The server closed the idle connection while our request was under way.
                    # No byte of an answer came, so it is taken as unprocessed, as browsers
                    # and nginx do (RFC 9112 section 9.3.1 has the doubt about it). The pool
                    # uses the youngest first, so the others have been idle for longer.
                    pool.close_idle()
                    raise StaleConnection("a connection that had been idle was closed") from exc
            connection = await dial(call.origin, call.connect_timeout)
            return await self._exchange(pool, connection, call, head, HeadReader(), on_phase)
        except BaseException as exc:
            pool.forfeit(connection)
            self._shortages.note_if_it_is_one(exc)
            raise

    async def upload(
        self, call: Call, body: BodySource, *, upload_nursery: trio.Nursery
    ) -> Response:
        """Send `call` with `body`, in `upload_nursery`; return its answer once the head has come.

        The answer may come before the body's end, which then goes on being sent. Raises as
        `request` does, and what `body` raises.
        """
        head = self._heads.render(call, body)
        pool = self._pool(call.origin)
        connection = await pool.acquire(self.policy.timeout)
        try:
            if connection is not None:
                # A connection that has been idle may turn out to be closed, and what was sent of
                # the body by then cannot be had again.
                connection.close()
                connection = None
            connection = await dial(call.origin, call.connect_timeout)
            sender = BodySender(connection, head, body)
            upload_nursery.start_soon(sender.run)
            try:
                answer = await _read_head(connection, HeadReader())
            except ConnectionLost:
                if sender.failure is not None:
                    raise sender.failure from None
                raise
            return self._response(pool, connection, call, answer, whole=sender.done)
        except BaseException as exc:
            pool.forfeit(connection)
            self._shortages.note_if_it_is_one(exc)
            raise

    async def connect(
        self, call: Call, subprotocols: tuple[str, ...], most: int
    ) -> ProviderWebSocket | SocketRefused:
        """Ask for a WebSocket by the head of `call`; return it, or the answer that refuses it.

        Its messages may have `most` bytes. It has a slot of its own until it is closed. Raises as
        `request` does.
        """
        pool = self._pool(call.origin)
        connection = await pool.acquire(self.policy.timeout)
        try:
            if connection is not None:
                # As with a body that cannot be had again: an idle one may turn out to be closed.
                connection.close()
                connection = None
            connection = await dial(call.origin, call.connect_timeout)
            opened = await open_socket(connection, call, subprotocols, most, pool.forfeit)
        except BaseException as exc:
            pool.forfeit(connection)
            self._shortages.note_if_it_is_one(exc)
            raise
        if isinstance(opened, SocketRefused):
            pool.forfeit(connection)
        return opened

    async def maintain(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Close connections that are idle too long or too old, until cancelled."""
        task_status.started()
        # Often enough for the promise to hold to a quarter; never in a busy loop.
        pause = max(self.policy.idle_timeout / 4, 0.02)
        while True:
            await trio.sleep(pause)
            # Origins vanish when the configuration changes, and their pools with them.
            self._pools = {origin: pool for origin, pool in self._pools.items() if pool.sweep()}

    def retire(self, origins: Iterable[Origin]) -> None:
        """Close idle connections to `origins` at once and used ones when their answer ends.

        A request that began before may still call such an origin: it gets a new connection,
        which then is idle for `idle_timeout` at most.
        """
        for origin in origins:
            pool = self._pools.pop(origin, None)
            if pool is not None:
                pool.retire()

    async def aclose(self) -> None:
        """Close idle connections at once and used ones when their answer ends; refuse calls."""
        self._closed = True
        for pool in self._pools.values():
            pool.close()
        await trio.lowlevel.checkpoint()

    async def _exchange(
        self,
        pool: Pool,
        connection: UpstreamConnection,
        call: Call,
        head: bytes,
        reader: HeadReader,
        on_phase: OnPhase | None,
    ) -> Response:
        if on_phase is not None:
            on_phase(CallPhase.SENDING)
        broken: ConnectionLost | None = None
        try:
            await connection.send(head, call.body)
        except ConnectionLost as exc:
            # A server may refuse a large body before it has read it, and close. Its answer
            # then waits here to be read.
            broken = exc
        if on_phase is not None:
            on_phase(CallPhase.WAITING)
        try:
            answer = await _read_head(connection, reader)
        except ConnectionLost:
            if broken is not None:
                raise broken from broken.__cause__
            raise
        return self._response(pool, connection, call, answer, whole=broken is None)

    def _pool(self, origin: Origin) -> Pool:
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(origin.max_connections, self.policy)
            if self._closed:
                pool.close()
        return pool

    def _response(
        self,
        pool: Pool,
        connection: UpstreamConnection,
        call: Call,
        answer: ResponseHead,
        *,
        whole: bool,
    ) -> Response:
        """Return the answer; `whole` says that all of the request was sent before it."""
        body, reusable = frame(call.method, answer.status, answer.http_version, answer.headers)
        return Response(pool, connection, answer, body, reusable and whole, self._shortages)


async def _read_head(connection: UpstreamConnection, reader: HeadReader) -> ResponseHead:
    answer: ResponseHead | None = None
    while answer is None:
        received = await connection.receive()
        if not received:
            where = "inside the head" if reader.started else "without an answer"
            raise ConnectionLost(f"the connection ended {where}")
        answer = reader.feed(received)
    return answer
