"""A WebSocket to a provider, over TCP and TLS: frames, the close, and its slot in the pool."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    Request,
    TextMessage,
)

from gateway.core.routing.call import Call, Origin
from gateway.core.wire.binary.socket_frames import LOST, SocketClose, SocketFrame, SocketRefused
from gateway.transport_errors import ConnectionLost, ProtocolViolation, UpstreamFailure
from gateway.upstream.sockets.socket import ProviderWebSocket
from gateway.upstream.transport import Transport

Stream = trio.abc.Stream
Talk = Callable[[Stream, WSConnection], Awaitable[None]]
LARGE = "\u00e9" * 200_000


async def receive(stream: Stream, ws: WSConnection) -> list[Event]:
    """Return the next events of the client's; none once it has left."""
    while data := await stream.receive_some(65536):
        ws.receive_data(bytes(data))
        if events := list(ws.events()):
            return events
    return []


async def echo(stream: Stream, ws: WSConnection) -> None:
    await stream.send_all(ws.send(Ping(payload=b"there?")))
    while data := await stream.receive_some(65536):
        ws.receive_data(bytes(data))
        # Not as a list: behind a close nothing could be sent that came before it.
        for event in ws.events():
            if isinstance(event, CloseConnection):
                await stream.send_all(ws.send(event.response()))
            elif isinstance(event, Pong):
                assert event.payload == b"there?"
            else:
                await stream.send_all(ws.send(event))


@asynccontextmanager
async def provider(talk: Talk, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve WebSockets; return the port."""

    async def serve(tcp: trio.SocketStream) -> None:
        stream: Stream = tcp
        try:
            if context is not None:
                stream = trio.SSLStream(tcp, context, server_side=True, https_compatible=True)
            ws = WSConnection(ConnectionType.SERVER)
            while not any(isinstance(each, Request) for each in await receive(stream, ws)):
                pass
            await stream.send_all(ws.send(AcceptConnection(subprotocol="b")))
            await talk(stream, ws)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has left
        finally:
            await trio.aclose_forcefully(tcp)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def call(port: int, ca_file: str | None = None) -> Call:
    origin = Origin("https" if ca_file else "http", "127.0.0.1", port, ca_file)
    return Call(origin, b"GET", b"/v1/x?a=b", ((b"authorization", b"Bearer k"),), b"")


async def connected(transport: Transport, made: Call, most: int = 10**6) -> ProviderWebSocket:
    with trio.fail_after(10):
        found = await transport.connect(made, ("a", "b"), most)
    assert isinstance(found, ProviderWebSocket)
    return found


def in_use(transport: Transport) -> int:
    return sum(each.in_use for each in transport.stats().values())


@pytest.mark.parametrize("tls", [False, True])
async def test_frames_go_both_ways_at_once(tmp_path: Path, *, tls: bool) -> None:
    authority, ca_file, context = trustme.CA(), None, None
    if tls:
        ca_file = str(tmp_path / "ca.pem")
        authority.cert_pem.write_to_path(ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
    transport = Transport()
    async with provider(echo, context) as port:
        socket = await connected(transport, call(port, ca_file))
        assert socket.subprotocol == "b"
        assert in_use(transport) == 1
        got: list[str | bytes] = []

        async def listen() -> None:
            while isinstance(frame := await socket.receive(), SocketFrame):
                got.append(frame.data)
            assert frame == SocketClose(4000, "done")
            socket.abort()

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                for number in range(30):
                    await socket.send(SocketFrame(LARGE if number % 10 == 0 else f"{number}"))
                await socket.send(SocketFrame(b"\x00", more=True))
                await socket.send(SocketFrame(b"\x01"))
                await socket.close(SocketClose(4000, "done"))
        assert "".join(each for each in got if isinstance(each, str)).count("\u00e9") == 600_000
        assert b"".join(each for each in got if isinstance(each, bytes)) == b"\x00\x01"
        socket.abort()
        socket.abort()
        assert in_use(transport) == 0
        with pytest.raises(ConnectionLost):
            await socket.send(SocketFrame("x"))
    await transport.aclose()


async def test_a_connection_that_ends_is_a_close() -> None:
    async def leave(stream: Stream, ws: WSConnection) -> None:
        await stream.send_all(ws.send(TextMessage(data="last")))

    async def oversize(stream: Stream, ws: WSConnection) -> None:
        await stream.send_all(ws.send(BytesMessage(data=bytes(2000))))
        await receive(stream, ws)

    async def garbage(stream: Stream, ws: WSConnection) -> None:
        await stream.send_all(b"\xff" * 100)
        await receive(stream, ws)

    transport = Transport()
    for talk, first in ((leave, True), (oversize, False), (garbage, False)):
        async with provider(talk) as port:
            socket = await connected(transport, call(port), 1000)
            if first:
                assert await socket.receive() == SocketFrame("last")
            with trio.fail_after(30):
                close = await socket.receive()
            assert isinstance(close, SocketClose)
            assert close.code == (LOST if talk is not garbage else 1002)
            # It stays so.
            assert await socket.receive() == close
            socket.abort()
    assert in_use(transport) == 0
    await transport.aclose()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 401 \r\ncontent-length: 2\r\n\r\nno", SocketRefused),
        (b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", SocketRefused),
        (b"HTTP/1.1 426 \r\nconnection: close\r\n\r\nno", SocketRefused),
        (b"HTTP/1.1 101 \r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", ProtocolViolation),
        (b"nothing of the kind\r\n\r\n", ProtocolViolation),
        (b"HTTP/1.1 200 \r\nx: " + b"y" * 200_000, ProtocolViolation),
        (b"", ConnectionLost),
    ],
)
async def test_what_is_answered_to_an_opening(answer: bytes, outcome: type[object]) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65536)
            await stream.send_all(answer)

    transport = Transport()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        with trio.fail_after(10):
            if issubclass(outcome, UpstreamFailure):
                with pytest.raises(outcome):
                    await transport.connect(call(port), (), 1000)
            else:
                found = await transport.connect(call(port), (), 1000)
                assert isinstance(found, SocketRefused)
                assert found.body == b"no"
        assert in_use(transport) == 0
        nursery.cancel_scope.cancel()
    await transport.aclose()


async def test_an_opening_that_is_given_up_leaves_nothing() -> None:
    async def never(stream: trio.SocketStream) -> None:
        async with stream:
            await trio.sleep_forever()

    transport = Transport()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, never, listeners)
        port = listeners[0].socket.getsockname()[1]
        for seconds in (0, 0.001, 0.05):
            with trio.move_on_after(seconds):
                await transport.connect(call(port), (), 1000)
            assert in_use(transport) == 0
        good = call(port)
        headers = ((b"sec-websocket-key", b"x"),)
        bad = Call(good.origin, good.method, good.target, headers, b"")
        with pytest.raises(ValueError, match="not the caller's"):
            await transport.connect(bad, (), 1000)
        assert in_use(transport) == 0
        nursery.cancel_scope.cancel()
    await transport.aclose()
