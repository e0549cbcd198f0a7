"""A provider's answer whose head has arrived: its body, and what becomes of the connection."""

from __future__ import annotations

import types
from typing import Final

import trio

from ..core.wire.framing import BodyReader
from ..transport_errors import ProtocolViolation
from .connection import UpstreamConnection
from .heads import ResponseHead
from .pool import Pool
from .shortage import ShortageLog


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

    @property
    def arrived(self) -> bool:
        """Whether all of the body is here, so that reading it does not wait."""
        return self._body.done

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
