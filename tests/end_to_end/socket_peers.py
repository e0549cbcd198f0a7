"""Both ends of sessions over WebSocket, by wsproto: a caller, and a provider with a script."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

import h11
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

PATIENCE: Final = 20.0


class Refused(Exception):
    """The opening was answered with something else."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(status, body)
        self.status, self.headers, self.body = status, headers, body

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


class SocketPeer:
    """One end, once it is open. `target` and `headers` are of the opening or of its answer."""

    def __init__(self, stream: trio.SocketStream, ws: WSConnection) -> None:
        self.stream = stream
        self.ws = ws
        self.target = ""
        self.headers: dict[str, str] = {}
        self.offered: list[str] = []
        self.subprotocol: str | None = None
        self.pongs: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        # Not a list: behind a close nothing could be sent that came before it.
        self._events: Iterator[Event] = iter(())

    async def say(self, **message: Any) -> None:
        """Send an object."""
        await self.send(TextMessage(data=json.dumps(message)))

    async def send(self, event: Event) -> None:
        await self.stream.send_all(self.ws.send(event))

    async def event(self) -> Event | None:
        """Return the next event but pings; None once the other end is gone."""
        with trio.fail_after(PATIENCE):
            while True:
                for event in self._events:
                    if isinstance(event, Ping):
                        await self.send(event.response())
                    elif isinstance(event, Pong):
                        self.pongs.append(bytes(event.payload))
                    elif isinstance(event, CloseConnection):
                        self.closed = (int(event.code), event.reason or "")
                        with contextlib.suppress(Exception):
                            await self.send(CloseConnection(code=event.code))
                        return event
                    else:
                        return event
                try:
                    data = await self.stream.receive_some(65536)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return None
                if not data:
                    return None
                self.ws.receive_data(data)
                self._events = self.ws.events()

    async def hear(self) -> dict[str, Any]:
        """Return the next message as an object."""
        text = ""
        while True:
            event = await self.event()
            assert isinstance(event, TextMessage), (event, self.closed)
            text += event.data
            if event.message_finished:
                found: dict[str, Any] = json.loads(text)
                return found

    async def end(self) -> tuple[int, str] | None:
        """Return the close, None if there was none, once the other end is gone."""
        while not isinstance(await self.event(), CloseConnection | None):
            pass
        return self.closed

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self.send(CloseConnection(code=code, reason=reason or None))


@contextlib.asynccontextmanager
async def opened(
    port: int,
    target: str,
    *,
    key: str | None = None,
    subprotocols: Sequence[str] = (),
    headers: Sequence[tuple[str, str]] = (),
) -> AsyncIterator[SocketPeer]:
    """Open a WebSocket. Raises `Refused`."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    try:
        ws = WSConnection(ConnectionType.CLIENT)
        extra = [(name.encode(), value.encode()) for name, value in headers]
        if key is not None:
            extra.append((b"authorization", f"Bearer {key}".encode()))
        request = Request(
            host=f"127.0.0.1:{port}",
            target=target,
            extra_headers=extra,
            subprotocols=list(subprotocols),
        )
        await stream.send_all(ws.send(request))
        yield await _answered(SocketPeer(stream, ws))
    finally:
        await trio.aclose_forcefully(stream)


async def _answered(peer: SocketPeer) -> SocketPeer:
    status, headers, body = 0, {}, b""
    with trio.fail_after(PATIENCE):
        while True:
            peer.ws.receive_data(await peer.stream.receive_some(65536) or None)
            events = peer.ws.events()
            for event in events:
                if isinstance(event, AcceptConnection):
                    peer.headers = {n.decode(): v.decode() for n, v in event.extra_headers}
                    peer.subprotocol = event.subprotocol
                    peer._events = events
                    return peer
                if isinstance(event, RejectConnection):
                    status = event.status_code
                    headers = {n.decode(): v.decode() for n, v in event.headers}
                elif isinstance(event, RejectData):
                    body += event.data
                    if event.body_finished:
                        raise Refused(status, headers, body)


Script = Callable[[SocketPeer], Awaitable[None]]


class SocketProvider:
    """Answers each opening by `script`, or refuses the next ones with `refusals`."""

    def __init__(self, script: Script) -> None:
        self.port = 0
        self.script = script
        self.refusals: list[tuple[int, dict[str, Any]]] = []
        self.sessions: list[SocketPeer] = []
        self.open = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self.open += 1
        try:
            async with stream:
                await self._serve(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the gateway has left
        finally:
            self.open -= 1

    async def _serve(self, stream: trio.SocketStream) -> None:
        ws = WSConnection(ConnectionType.SERVER)
        peer = SocketPeer(stream, ws)
        request: Request | None = None
        while request is None:
            data = await stream.receive_some(65536)
            if not data:
                return
            ws.receive_data(data)
            request = next((each for each in ws.events() if isinstance(each, Request)), None)
        peer.target, peer.offered = request.target, list(request.subprotocols)
        peer.headers = {n.decode().lower(): v.decode() for n, v in request.extra_headers}
        self.sessions.append(peer)
        if self.refusals:
            status, body = self.refusals.pop(0)
            data = json.dumps(body).encode()
            http = h11.Connection(h11.SERVER)
            http.receive_data(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            http.next_event()
            size = [("content-length", str(len(data))), ("content-type", "application/json")]
            head = http.send(h11.Response(status_code=status, headers=size))
            await stream.send_all((head or b"") + data)
            return
        chosen = peer.offered[0] if peer.offered else None
        await peer.send(
            AcceptConnection(
                subprotocol=chosen,
                extra_headers=[(b"x-request-id", b"theirs"), (b"set-cookie", b"a")],
            )
        )
        await self.script(peer)


@contextlib.asynccontextmanager
async def socket_provider(script: Script) -> AsyncIterator[SocketProvider]:
    async with trio.open_nursery() as nursery:
        provider = SocketProvider(script)
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        provider.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, provider.serve, listeners)
        yield provider
        nursery.cancel_scope.cancel()


def bytes_message(data: bytes, *, finished: bool = True) -> Message[Any]:
    return BytesMessage(data=data, message_finished=finished)


def text_message(data: str, *, finished: bool = True) -> Message[Any]:
    return TextMessage(data=data, message_finished=finished)
