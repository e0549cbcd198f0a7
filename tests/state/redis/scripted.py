"""A server whose part a test plays, at the other end of a connection of the gateway's."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import trio
import trustme
from coredis.exceptions import RedisError

from gateway.core.limits.operations import StoreFailed
from gateway.state.redis.pipelined import PipelinedStream, Stream

# What reading ends by: the connection, or the parser at what is no answer.
ENDS: Final = (
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    RedisError,
    ValueError,
    IndexError,
    SystemError,
)

HELLO: Final = b"%3\r\n$5\r\nproto\r\n:3\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$2\r\nid\r\n:1\r\n"
SUBSCRIBED: Final = b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"

Play = Callable[[trio.SocketStream], Awaitable[None]]


def published(text: bytes) -> bytes:
    return b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%d\r\n%b\r\n" % (len(text), text)


class Wire:
    """A stream that is taken over, the server's end of it, and what came of each question."""

    def __init__(self, near: Stream, far: Stream, below: trio.SocketStream) -> None:
        self.heard: list[bytes] = []
        self.answers: dict[int, Any] = {}
        self.stream = PipelinedStream(near, self.heard.append)
        self.stream.take_over()
        self.far = far
        self.below = below
        self._asked = 0

    async def run(self, nursery: trio.Nursery) -> None:
        """Read to the end, as coredis's task does."""
        nursery.start_soon(self.stream.flush)
        try:
            async with self.stream:
                await self.stream.receive()
        except ENDS:
            pass

    async def ask(self, number: int, command: bytes) -> None:
        """Note the answer to `command`, or how it failed."""
        try:
            self.answers[number] = await self.stream.ask(command)
        except (RedisError, StoreFailed) as exc:
            self.answers[number] = exc

    async def read(self, many: int) -> bytes:
        """Read so many bytes at the server's end."""
        got = bytearray()
        while len(got) < many:
            data = await self.far.receive_some(65_536)
            assert data
            got += data
        return bytes(got)

    async def answered(self, many: int) -> list[Any]:
        """Wait until so many questions have come to something; return what, in order."""
        with trio.fail_after(30):
            while len(self.answers) < many:  # noqa: ASYNC110
                await trio.sleep(0.001)
        return [self.answers[number] for number in range(many)]

    def reset(self) -> None:
        """End it as a host does whose process is gone."""
        self.below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.below.socket.close()


@asynccontextmanager
async def wire(*, encrypted: bool = False) -> AsyncIterator[Wire]:
    """Connect over TCP, and clean up in the end."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, trio.open_nursery() as nursery:
        near: Stream = await trio.open_tcp_stream(*listener.socket.getsockname())
        below = await listener.accept()
        far: Stream = below
        if encrypted:
            near, far = tls(near, below)
            async with trio.open_nursery() as greeting:
                greeting.start_soon(near.do_handshake)
                greeting.start_soon(far.do_handshake)
        made = Wire(near, far, below)
        nursery.start_soon(made.run, nursery)
        try:
            yield made
        finally:
            nursery.cancel_scope.cancel()
            below.socket.close()


def tls(near: Any, far: Any) -> Sequence[trio.SSLStream[trio.SocketStream]]:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return (
        trio.SSLStream(near, client, server_hostname="localhost", https_compatible=True),
        trio.SSLStream(far, server, server_side=True, https_compatible=True),
    )


@asynccontextmanager
async def played(play: Play) -> AsyncIterator[str]:
    """Have `play` speak with each who connects; yield the URL."""

    async def part(stream: trio.SocketStream) -> None:
        try:
            async with stream:
                await play(stream)
        except ENDS:
            pass

    async with trio.open_nursery() as nursery:
        listen = partial(trio.serve_tcp, part, 0, host="127.0.0.1")
        (listener,) = await nursery.start(listen)
        yield f"redis://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def greet(stream: Stream, **said: bytes) -> None:
    """Answer what a connection begins with, and anything later, until it ends."""
    while data := await stream.receive_some(65_536):
        if b"HELLO" in data:
            answer = said.get("hello", HELLO)
        elif b"SUBSCRIBE" in data:
            answer = said.get("subscribe", SUBSCRIBED)
        else:
            answer = b"+OK\r\n"
        await stream.send_all(answer)
