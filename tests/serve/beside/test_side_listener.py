"""A listener beside the gateway's own: its limits, and its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from gateway.lifecycle import Lifecycle
from gateway.serve.beside.side_listener import SideListener
from gateway.serve.policy import ServingPolicy
from gateway.serve.sockets import listen

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class App:
    def __init__(self) -> None:
        self.go_on = trio.Event()
        self.begun = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        del receive
        self.begun.set()
        if scope["path"] == "/wait":
            await self.go_on.wait()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def listening(most: int = 10) -> AsyncIterator[tuple[SideListener, App, int]]:
    app = App()
    sockets = listen(["127.0.0.1:0"], send_timeout=5)
    found = SideListener(app, sockets, lambda: ServingPolicy(wait=0), Lifecycle(), most)
    port = sockets[0].getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.run)
        with trio.fail_after(20):
            yield found, app, port
            await found.finish()
        nursery.cancel_scope.cancel()


async def answer(stream: trio.SocketStream, path: bytes = b"/") -> bytes:
    await stream.send_all(REQUEST.replace(b"GET /", b"GET " + path))
    got = b""
    while not got.endswith(b"ok"):
        data = await stream.receive_some()
        assert data, got
        got += data
    return got


async def test_requests_are_answered_and_connections_kept() -> None:
    async with (
        listening() as (_, _, port),
        await trio.open_tcp_stream("127.0.0.1", port) as stream,
    ):
        for _ in range(3):
            assert (await answer(stream)).startswith(b"HTTP/1.1 200")


async def test_beyond_its_connections_it_says_so() -> None:
    async with (
        listening(1) as (_, _, port),
        await trio.open_tcp_stream("127.0.0.1", port) as first,
    ):
        await answer(first)
        async with await trio.open_tcp_stream("127.0.0.1", port) as second:
            got = b""
            while data := await second.receive_some():
                got += data
            assert got.startswith(b"HTTP/1.1 503")
            assert b"connection: close" in got
        await answer(first)


async def test_at_the_end_idle_connections_close_and_requests_are_finished() -> None:
    async with (
        listening() as (listener, app, port),
        await trio.open_tcp_stream("127.0.0.1", port) as idle,
        await trio.open_tcp_stream("127.0.0.1", port) as busy,
    ):
        await answer(idle)
        app.begun = trio.Event()
        async with trio.open_nursery() as nursery:
            await busy.send_all(REQUEST.replace(b"GET /", b"GET /wait"))
            await app.begun.wait()
            nursery.start_soon(listener.finish)
            assert await idle.receive_some() == b""
            app.go_on.set()
            got = b""
            while data := await busy.receive_some():
                got += data
            assert got.endswith(b"ok")
            assert b"connection: close" in got
