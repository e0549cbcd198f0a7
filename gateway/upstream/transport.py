"""Make HTTP/1.1 calls to providers over pooled connections.

What an exchange does to its slot and its connection:

    head and body sent, head read, body read to its end    connection goes back to the pool
    anything else: an error, cancellation, `aclose`        connection is closed, slot goes back

Both happen the moment they are known. With the last byte of the body that is usually before
its reader has even asked for more, so the next request can have the connection already.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Iterable
from typing import Final

import trio

from ..core.routing.call import Call, Origin
from ..core.wire.framing import BodyReader, frame
from ..stops import stops
from ..transport_errors import ConnectionLost, ProtocolViolation, StaleConnection
from .connection import UpstreamConnection
from .dial import dial
from .heads import HeadReader, RequestHeads, ResponseHead
from .pool import Pool, PoolPolicy, PoolStats
from .shortage import ShortageLog

# Seconds from sending within which the loss of a connection that had been idle says that the
# provider had closed it before. Its reset needs one round trip, 0.3 s around the world, and as much
# again if a packet is lost on the way. Whatever is lost later may have been at work.
STALE_WITHIN: Final = 1.0


class CallPhase(enum.Enum):
    """What a request waits for, for callers that time these apart."""

    SENDING = "sending"
    WAITING = "waiting for the head"


OnPhase = Callable[[CallPhase], None]


class Response:
    """An answer whose head has arrived; closed by `aclose`, `async with`, or read to its end."""

    def __init__(
        self,
        pool: Pool,
        connection: UpstreamConnection,
        head: ResponseHead,
        body: BodyReader,
        keep: bool,
        shortages: ShortageLog,
    ) -> None:
        self.status: Final = head.status
        self.headers: Final = head.headers
        self._pool = pool
        self._connection: UpstreamConnection | None = connection
        self._body = body
        self._keep = keep
        self._shortages = shortages
        self._first = body.feed(head.rest) if head.rest else b""
        if body.done:
            self._settle(connection)

    def __repr__(self) -> str:
        state = "done" if self._body.done else "reading" if self._connection else "closed"
        return f"<Response {self.status} {state}>"

    async def __aenter__(self) -> Response:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        await self.aclose()

    async def receive_some(self) -> bytes:
        """Return all of the body that one read brings, or b"" after its end.

        Raises `ConnectionLost`, `LocalShortage`, `ProtocolViolation`, and
        `trio.ClosedResourceError` if the response was closed. Doesn't pass a checkpoint if it has
        what it needs already.
        """
        if self._first:
            data, self._first = self._first, b""
            return data
        if self._body.done:
            return b""
        if (connection := self._connection) is None:
            raise trio.ClosedResourceError("the response was closed before its body ended")
        body = self._body
        try:
            while True:
                received = await connection.receive()
                if received:
                    data = body.feed(received)
                else:
                    data = b""
                    body.eof()
                if body.done:
                    self._settle(connection)
                    return data
                if data:
                    return data
        except BaseException as exc:
            self._abandon()
            self._shortages.note_if_it_is_one(exc)
            raise

    async def read(self, limit: int) -> bytes:
        """Return the whole body; raise `ProtocolViolation` if it is over `limit` bytes."""
        parts: list[bytes] = []
        while part := await self.receive_some():
            limit -= len(part)
            if limit < 0:
                self._abandon()
                raise ProtocolViolation("the response is larger than it may be")
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def aclose(self) -> None:
        """Close the connection unless the body was read to its end. Idempotent, never waits."""
        self._first = b""
        self._abandon()

    def _settle(self, connection: UpstreamConnection) -> None:
        if self._connection is not connection:
            # Closed by another task while this one was reading.
            return
        self._connection = None
        if self._keep and not self._body.excess:
            self._pool.release(connection)
        else:
            self._pool.forfeit(connection)

    def _abandon(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.forfeit(connection)


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
        pool = self._pools.get(call.origin)
        if pool is None:
            pool = self._pools[call.origin] = Pool(call.origin.max_connections, self.policy)
            if self._closed:
                pool.close()
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
        answer: ResponseHead | None = None
        while answer is None:
            try:
                received = await connection.receive()
            except ConnectionLost:
                if broken is not None:
                    raise broken from broken.__cause__
                raise
            if not received:
                where = "inside the head" if reader.started else "without an answer"
                raise broken or ConnectionLost(f"the connection ended {where}")
            answer = reader.feed(received)
        body, reusable = frame(call.method, answer.status, answer.http_version, answer.headers)
        keep = reusable and broken is None
        return Response(pool, connection, answer, body, keep, self._shortages)
