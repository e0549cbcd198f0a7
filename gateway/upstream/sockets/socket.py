"""One WebSocket to a provider: frames out, frames in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import trio
from wsproto import WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from ...core.wire.binary.socket_frames import (
    FRAME_COST,
    LOST,
    NO_CODE,
    TOO_BIG,
    SocketClose,
    SocketFrame,
)
from ...transport_errors import ConnectionLost, UpstreamFailure
from ..connection import UpstreamConnection


class ProviderWebSocket:
    """Owns its connection. `headers` are those of the answer that opened it, `subprotocol` is what
    the provider chose. A frame or a message of more than `most` bytes ends it.

    One task may send while another receives.
    """

    def __init__(
        self,
        connection: UpstreamConnection,
        ws: WSConnection,
        forfeit: Callable[[UpstreamConnection], None],
        headers: list[tuple[bytes, bytes]],
        subprotocol: str | None,
        most: int,
    ) -> None:
        self.headers: Final = headers
        self.subprotocol: Final = subprotocol
        self._connection = connection
        self._ws = ws
        self._forfeit: Callable[[UpstreamConnection], None] | None = forfeit
        self._most = most
        self._sending = trio.Lock()
        # Frames may have come right behind the answer.
        self._events: Iterator[Event] = ws.events()
        self._pieces: list[Any] = []
        self._size = 0
        self._end: SocketClose | None = None
        # What a ping is to be answered with, while something else is being sent. The latest will
        # do (RFC 6455 section 5.5.3). To wait for that here would be to read nothing meanwhile,
        # and a provider may take nothing before it is read.
        self._pong: Event | None = None

    def __repr__(self) -> str:
        return f"<ProviderWebSocket {self._ws.state.name.lower()}, {self._connection!r}>"

    async def send(self, frame: SocketFrame) -> None:
        """Send a frame; to one that is closed, nothing. Raises UpstreamFailure."""
        event: Message[Any] = (
            TextMessage(data=frame.data, message_finished=not frame.more)
            if isinstance(frame.data, str)
            else BytesMessage(data=frame.data, message_finished=not frame.more)
        )
        await self._write(event)

    async def receive(self) -> SocketFrame | SocketClose:
        """Return the next frame, or how it was closed, which is then all that comes.

        Never raises: a connection that is lost is a close, too. Cancelled in between, only
        `aclose` is left to do.
        """
        while self._end is None:
            for event in self._events:
                found = await self._read(event)
                if found is not None:
                    return found
            try:
                data = await self._connection.receive()
            except UpstreamFailure as exc:
                return self._ended(SocketClose(LOST, str(exc)))
            if not data:
                return self._ended(SocketClose(LOST, "the connection ended without a close"))
            self._ws.receive_data(data)
            self._events = self._ws.events()
        await trio.lowlevel.checkpoint()
        return self._end

    async def close(self, close: SocketClose) -> None:
        """Say `close`; its answer is what `receive` returns then. Raises UpstreamFailure."""
        said = close.sendable
        event = CloseConnection(code=said.code, reason=said.reason or None)
        if said.code == NO_CODE:
            event = CloseConnection(code=CloseReason.NO_STATUS_RCVD)
        await self._write(event)

    def abort(self) -> None:
        """End the connection at once. Idempotent, and never waits."""
        forfeit, self._forfeit = self._forfeit, None
        if forfeit is not None:
            forfeit(self._connection)
        self._ended(SocketClose(LOST, "the connection was ended here"))

    async def _write(self, event: Event) -> None:
        async with self._sending:
            await self._write_next(event)
            while (pong := self._pong) is not None:
                self._pong = None
                await self._write_next(pong)

    async def _write_next(self, event: Event) -> None:
        if self._forfeit is None:
            raise ConnectionLost("the WebSocket is closed")
        try:
            data = self._ws.send(event)
        except LocalProtocolError:
            return  # a close is under way, behind which nothing may be said
        await self._connection.send(data, b"")

    async def _read(self, event: Event) -> SocketFrame | SocketClose | None:
        if isinstance(event, Message):
            return await self._part(event)
        if isinstance(event, Ping):
            if self._sending.locked():
                self._pong = event.response()
            else:
                await self._answer(event.response())
        elif isinstance(event, CloseConnection):
            await self._answer(CloseConnection(code=event.code))
            return self._ended(SocketClose(int(event.code), event.reason or ""))
        return None

    async def _part(self, event: Message[Any]) -> SocketFrame | SocketClose | None:
        self._pieces.append(event.data)
        self._size += len(event.data) + FRAME_COST
        if self._size > self._most + FRAME_COST:
            reason = f"a message has more than {self._most} bytes"
            await self._answer(CloseConnection(code=TOO_BIG, reason=reason))
            return self._ended(SocketClose(LOST, f"the provider's {reason[2:]}"))
        if not event.frame_finished:
            return None
        pieces, self._pieces = self._pieces, []
        if event.message_finished:
            self._size = 0
        if isinstance(event, TextMessage):
            return SocketFrame("".join(pieces), more=not event.message_finished)
        return SocketFrame(b"".join(pieces), more=not event.message_finished)

    async def _answer(self, event: Event) -> None:
        if self._ws.state is ConnectionState.CLOSED:
            return
        try:
            await self._write(event)
        except UpstreamFailure:
            return  # what is read next says so

    def _ended(self, close: SocketClose) -> SocketClose:
        self._end = self._end or close
        self._pieces = []
        return self._end
