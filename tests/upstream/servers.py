"""Scripted HTTP servers on loopback: what they send is written out in each test."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import psutil
import trio

from gateway.core.routing.call import Call, Origin

Handler = Callable[[trio.abc.Stream], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    def __init__(self, port: int) -> None:
        self.port = port
        self.accepted = 0
        self.requests: list[bytes] = []

    def origin(self, **options: object) -> Origin:
        defaults = {"scheme": "http", "host": "127.0.0.1", "port": self.port}
        return Origin(**(defaults | options))  # type: ignore[arg-type]

    def call(
        self,
        body: bytes = b"{}",
        method: bytes = b"POST",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        **options: object,
    ) -> Call:
        return Call(self.origin(**options), method, b"/v1/x", headers, body)


async def read_request(stream: trio.abc.Stream) -> bytes:
    """Return one request with its body, or b"" if the client has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := await stream.receive_some()):
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        if name == b"content-length":
            length = int(value)
    while len(body) < length:
        if not (more := await stream.receive_some()):
            return b""
        body += more
    return head + b"\r\n\r\n" + body


@contextlib.asynccontextmanager
async def serving(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Run `handler` for each connection; errors of a client that leaves are not its own."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Server(listeners[0].socket.getsockname()[1])

    async def handle(tcp: trio.SocketStream) -> None:
        server.accepted += 1
        stream: trio.abc.Stream = tcp
        if context is not None:
            stream = trio.SSLStream(tcp, context, server_side=True, https_compatible=True)
        try:
            await handler(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, handle, listeners)
        yield server
        nursery.cancel_scope.cancel()


def replying(*answers: bytes, close: bool = False) -> Handler:
    """Answer the n-th request of each connection with the n-th answer, the last for ever."""

    async def handler(stream: trio.abc.Stream) -> None:
        sent = 0
        while await read_request(stream):
            await stream.send_all(answers[min(sent, len(answers) - 1)])
            sent += 1
            if close:
                return

    return handler


def open_sockets(port: int) -> int:
    """Count this process's sockets that are connected to `port` as a client."""
    connections = psutil.Process().net_connections("tcp")
    return sum(bool(each.raddr) and each.raddr.port == port for each in connections)
