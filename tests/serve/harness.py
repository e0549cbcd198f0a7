"""Connections over streams in memory, and a whole worker on loopback."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import h11
import hypercorn.trio.run
import trio
import trio.testing
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config, Sockets
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from gateway.lifecycle import Lifecycle
from gateway.serve.connection import ClientConnection
from gateway.serve.install import install
from gateway.serve.open_connections import OpenConnections
from gateway.serve.policy import ServingPolicy
from gateway.serve.sockets import listen

from .processes import eventually

App = Callable[[Any, Any, Any], Awaitable[None]]

GET = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"


def post(body: bytes, *more: bytes) -> bytes:
    length = b"content-length: %d" % len(body)
    return b"\r\n".join([b"POST / HTTP/1.1", b"host: test", length, *more, b"", body])


class FakeSocket:
    family = socket.AF_INET

    def getpeername(self) -> tuple[str, int]:
        return ("192.0.2.1", 40000)

    def fileno(self) -> int:
        return -1  # as of a closed one: never asked unless more is sent than is read ahead

    def getsockname(self) -> tuple[str, int]:
        return ("192.0.2.2", 80)


class Wire:
    """A stream as a connection expects it, that keeps a record of what is sent."""

    def __init__(self, stream: Any) -> None:
        self.socket = FakeSocket()
        self.sent: list[bytes] = []
        self.closed_at: float | None = None
        self._stream = stream

    async def send_all(self, data: bytes) -> None:
        self.sent.append(bytes(data))
        await self._stream.send_all(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        if self.closed_at is None:
            self.closed_at = trio.current_time()
        await self._stream.aclose()


class Visit:
    """One client on a connection in memory."""

    def __init__(
        self, client: Any, wire: Wire, context: WorkerContext, connections: OpenConnections
    ) -> None:
        self.client = client
        self.wire = wire
        self.context = context
        self.connections = connections
        self.done = trio.Event()
        self.reader = h11.Connection(h11.CLIENT)

    async def read_all(self) -> bytes:
        """Return everything until the server ends the connection."""
        got = b""
        with contextlib.suppress(trio.BrokenResourceError):
            while data := await self.client.receive_some():
                got += data
        return got

    async def read_answers(self, count: int) -> None:
        """Read so many answers of one kind, counted by their heads."""
        got = b""
        while got.count(b"HTTP/1.1 200 ") < count:
            data = await self.client.receive_some()
            assert data, "ended early"
            got += data

    async def read_until(self, end: bytes) -> bytes:
        got = b""
        while not got.endswith(end):
            data = await self.client.receive_some()
            assert data, f"ended after {got!r}"
            got += data
        return got


@contextlib.asynccontextmanager
async def visit(
    app: App,
    *,
    policy: ServingPolicy | None = None,
    lockstep: bool = False,
    lifecycle: Lifecycle | None = None,
    config: Config | None = None,
) -> AsyncIterator[Visit]:
    """Run one connection; on leaving, the client closes and the connection must end."""
    pair = trio.testing.lockstep_stream_pair if lockstep else trio.testing.memory_stream_pair
    client, server = pair()
    wire = Wire(server)
    context = WorkerContext(None)
    connections = OpenConnections(lambda: policy or ServingPolicy(), lifecycle or Lifecycle())
    guest = Visit(client, wire, context, connections)

    async def run() -> None:
        stream: Any = wire
        state: Any = {}
        wrapped: Any = ASGIWrapper(app)
        await ClientConnection(
            connections, wrapped, config or Config(), context, state, stream
        ).run()
        guest.done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield guest
        await trio.aclose_forcefully(client)
        with trio.fail_after(30):
            await guest.done.wait()


class Running:
    def __init__(self, port: int, connections: OpenConnections, stop: trio.Event) -> None:
        self.port = port
        self.connections = connections
        self.stop = stop
        self._tasks_before = tasks_living()

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def wait_busy(self, connections: int, seconds: float = 10) -> None:
        """Wait until at least so many connections have tasks."""
        await self._wait_tasks(lambda extra: extra >= connections, seconds)

    async def wait_over(self, seconds: float = 10) -> None:
        """Wait until no task is left of any connection."""
        await self._wait_tasks(lambda extra: extra <= 0, seconds)

    async def _wait_tasks(self, enough: Callable[[int], bool], seconds: float) -> None:
        await eventually(lambda: enough(tasks_living() - self._tasks_before), seconds)


def tasks_living() -> int:
    return trio.lowlevel.current_statistics().tasks_living


@contextlib.asynccontextmanager
async def worker(
    app: App, *, policy: ServingPolicy | None = None, stock: bool = False
) -> AsyncIterator[Running]:
    """Run Hypercorn's worker on loopback; every connection must be over at the end.

    `stock` runs it with Hypercorn's own connections, to see a test fail.
    """
    chosen = policy or ServingPolicy()
    sockets = listen(["127.0.0.1:0"], send_timeout=chosen.send_timeout)
    stop = trio.Event()
    try:
        connections = install(lambda: chosen, Lifecycle())
        if stock:
            unpatch()
        async with trio.open_nursery() as nursery:
            serve = partial(
                hypercorn.trio.run.worker_serve,
                ASGIWrapper(app),
                Config(),
                sockets=Sockets([], list(sockets), []),
                shutdown_trigger=stop.wait,
            )
            await nursery.start(serve)
            watching = trio.CancelScope()
            nursery.start_soon(_watch, connections, watching)
            # So that the worker's own tasks are all there to be counted.
            await trio.testing.wait_all_tasks_blocked()
            try:
                yield Running(sockets[0].getsockname()[1], connections, stop)
            finally:
                stop.set()
                watching.cancel()
    finally:
        unpatch()


def unpatch() -> None:
    """Give Hypercorn back what `install` replaces."""
    vars(hypercorn.trio.run).update(TCPServer=TCPServer, trio=trio)


async def _watch(connections: OpenConnections, scope: trio.CancelScope) -> None:
    with scope:
        await connections.watch()


async def read_body(receive: Any) -> bytes:
    body = b""
    while True:
        message: dict[str, Any] = await receive()
        assert message["type"] == "http.request", message
        body += bytes(message["body"])
        if not message["more_body"]:
            return body


async def answer(send: Any, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def idle_lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the request's body, or its path if it has none."""
    if scope["type"] == "lifespan":
        await idle_lifespan(receive, send)
    else:
        body = await read_body(receive)
        await answer(send, body or scope["path"].encode())
