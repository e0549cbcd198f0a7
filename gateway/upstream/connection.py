"""One connection to a provider: bytes out, bytes in, and whether it is still worth using."""

from __future__ import annotations

import math
from typing import Final

import trio

from ..tcp import receive, send_now
from ..transport_errors import ConnectionLost, LocalShortage
from .shortage import shortage

# A stream may hold 256 KiB in the gateway before its provider is made to wait: this read, those
# in the channel behind it, and what is on its way to the caller. With an eighth for each read
# there is room for several; a larger read would not be cheaper per byte by much, since token
# streams rarely have more than a few hundred bytes waiting.
RECEIVE_SIZE: Final = 32 * 1024
# Up to here head and body leave as one segment train from one system call; above, copying the
# body behind its head would cost more than a second call.
JOIN_LIMIT: Final = 256 * 1024

_BROKEN: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class _QuietError(Exception):
    """Nothing is waiting to be read."""


class Wire(trio.abc.Stream):
    """The TCP stream under a TLS one, able to answer "nothing there" instead of waiting.

    An idle TLS connection can't be judged by its socket alone: the TLS layer may hold bytes
    that it has read already, and a readable socket may only have a session ticket to give.
    So it is asked for a byte, and this stream keeps it from waiting for one.
    """

    def __init__(self, tcp: trio.SocketStream) -> None:
        self.tcp = tcp
        self.probing = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.tcp.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.tcp.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self.probing and not self.tcp.socket.is_readable():
            raise _QuietError
        return await self.tcp.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.tcp.aclose()


class UpstreamConnection:
    """Owned by one exchange or by the pool, never by both.

    `born` and `idle_since` are in Trio's clock; `exchanges` counts the finished ones.
    """

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[Wire]) -> None:
        if isinstance(stream, trio.SocketStream):
            self._tls: trio.SSLStream[Wire] | None = None
            self._tcp = stream
        else:
            self._tls = stream
            self._tcp = stream.transport_stream.tcp
        self._stream = stream
        self.born = trio.current_time()
        self.idle_since = math.inf
        self.exchanges = 0

    def __repr__(self) -> str:
        kind = "TLS" if self._tls else "TCP"
        state = "closed" if self._tcp.socket.fileno() == -1 else "open"
        return f"<UpstreamConnection {kind} {state}, {self.exchanges} exchanges>"

    async def send(self, head: bytes, body: bytes) -> None:
        """Send a request; raise `ConnectionLost` or `LocalShortage`."""
        try:
            if len(body) <= JOIN_LIMIT:
                data = head + body
                sent = send_now(self._tcp.socket, data) if self._tls is None else 0
                if sent < len(data):
                    await self._stream.send_all(memoryview(data)[sent:])
            else:
                await self._stream.send_all(head)
                await self._stream.send_all(body)
        except _BROKEN as exc:
            raise _lost("the connection broke while the request was sent", exc) from exc

    async def receive(self) -> bytes:
        """Return some bytes, or b"" at the end; raise `ConnectionLost` or `LocalShortage`."""
        try:
            if self._tls is None:
                return await receive(self._tcp.socket, RECEIVE_SIZE)
            return bytes(await self._tls.receive_some(RECEIVE_SIZE))
        except _BROKEN as exc:
            raise _lost("the connection was reset", exc) from exc

    async def still_good(self) -> bool:
        """Say whether an idle connection can carry a request: open, and nothing was sent on it.

        Bytes that came after the last answer belong to no request of ours. They would be
        taken for the next answer.
        """
        if self._tls is None:
            return not self._tcp.socket.is_readable()
        wire = self._tls.transport_stream
        wire.probing = True
        try:
            await self._tls.receive_some(1)
        except _QuietError:
            return True
        except _BROKEN:
            return False
        finally:
            wire.probing = False
        return False

    def close(self) -> None:
        """Close at once, without TLS's farewell. Idempotent.

        Not a coroutine, so that nothing can be cancelled in it. Length and end of an answer
        are told by HTTP, never by the end of the connection we close.
        """
        self._tcp.socket.close()


def _lost(what: str, exc: BaseException) -> ConnectionLost | LocalShortage:
    """Return `what` became of a connection, unless it is our own lack that it cannot be used."""
    ours = shortage(exc)
    if ours is None:
        return ConnectionLost(what)
    return LocalShortage(f"the connection could not be used: {ours.strerror}")
