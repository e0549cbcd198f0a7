"""A provider whose requests and answers are as large as a test likes: nothing of them is held."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import h11
import trio


@dataclass
class Visit:
    """One request as its handler sees it; `receive` returns b"" at the end of its body."""

    method: str
    target: str
    headers: dict[str, str]
    connection: h11.Connection
    stream: trio.SocketStream
    received: int = 0
    # The peer has gone before the request or the answer was whole.
    cut: bool = False
    body: bytearray = field(default_factory=bytearray)

    async def receive(self) -> bytes:
        while True:
            event = self.connection.next_event()
            if event is h11.NEED_DATA:
                self.connection.receive_data(await self.stream.receive_some(65536))
                continue
            if isinstance(event, h11.Data):
                self.received += len(event.data)
                return bytes(event.data)
            return b""

    async def read(self) -> bytes:
        while piece := await self.receive():
            self.body += piece
        return bytes(self.body)

    async def begin(self, status: int = 200, **headers: str) -> None:
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        await self._send(h11.Response(status_code=status, headers=pairs))

    async def send(self, data: bytes) -> None:
        await self._send(h11.Data(data=data))

    async def end(self) -> None:
        await self._send(h11.EndOfMessage())

    async def reply(self, status: int, body: bytes, **headers: str) -> None:
        headers.setdefault("content_type", "application/json")
        await self.begin(status, **headers, content_length=str(len(body)))
        if body:
            await self.send(body)
        await self.end()

    async def _send(self, event: h11.Event) -> None:
        data = self.connection.send(event)
        if data:
            await self.stream.send_all(data)


Handler = Callable[[Visit], Awaitable[None]]


class StreamingProvider:
    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.visits: list[Visit] = []
        self.port = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        async with stream:
            with contextlib.suppress(
                trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError
            ):
                while await self._visit(connection, stream):
                    connection.start_next_cycle()

    async def _visit(self, connection: h11.Connection, stream: trio.SocketStream) -> bool:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(65536))
        if not isinstance(event, h11.Request):
            return False
        headers = {name.decode(): value.decode() for name, value in event.headers}
        visit = Visit(event.method.decode(), event.target.decode(), headers, connection, stream)
        self.visits.append(visit)
        try:
            await self.handler(visit)
            while connection.their_state is h11.SEND_BODY:
                await visit.receive()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            visit.cut = True
            raise
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE


@contextlib.asynccontextmanager
async def providing(handler: Handler) -> AsyncIterator[StreamingProvider]:
    provider = StreamingProvider(handler)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            partial(trio.serve_tcp, provider.serve, 0, host="127.0.0.1")
        )
        provider.port = listeners[0].socket.getsockname()[1]
        yield provider
        nursery.cancel_scope.cancel()
