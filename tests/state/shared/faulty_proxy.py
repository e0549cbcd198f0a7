"""A TCP proxy in front of a Valkey server that does what a test says to it."""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

from ...ports import lasting_port


class FaultyProxy:
    """Passes bytes on, but for what its attributes say; they hold for what comes next.

    `delay` is seconds before each piece of an answer, `error` what a script is answered with
    instead of being sent on. With `cuts` the connection is cut behind the question, `swallows`
    lets the question through and loses the answer. Without `listens` connections are refused.
    """

    def __init__(self, target: int) -> None:
        self.port = lasting_port()
        self.delay = 0.0
        self.error = b""
        self.cuts = False
        self.swallows = False
        self.scripts = 0
        self._target = target
        self._listening = trio.CancelScope()
        self._open: set[trio.SocketStream] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await self.listen()
            yield
            nursery.cancel_scope.cancel()

    async def listen(self) -> None:
        await self._nursery.start(self._listen)

    def refuse(self) -> None:
        """Refuse connections from now on, and cut those that are open."""
        self._listening.cancel()
        self.reset()

    def reset(self) -> None:
        for stream in self._open:
            # RST, as a host does whose process is gone.
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()
        self._open.clear()

    def heal(self) -> None:
        self.delay, self.error, self.cuts, self.swallows = 0.0, b"", False, False

    async def _listen(self, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as self._listening:
            listeners = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
            task_status.started()
            await trio.serve_listeners(self._serve, listeners, handler_nursery=self._nursery)

    async def _serve(self, near: trio.SocketStream) -> None:
        self._open.add(near)
        try:
            with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                far = await trio.open_tcp_stream("127.0.0.1", self._target)
                async with near, far, trio.open_nursery() as nursery:
                    nursery.start_soon(self._ask, near, far, nursery.cancel_scope)
                    nursery.start_soon(self._answer, near, far, nursery.cancel_scope)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._open.discard(near)

    async def _ask(
        self, near: trio.SocketStream, far: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        while data := await near.receive_some(65536):
            scripts = data.count(b"\r\nEVALSHA\r\n")
            self.scripts += scripts
            if scripts and self.error:
                await near.send_all(self.error * scripts)
                continue
            await far.send_all(data)
            if scripts and self.cuts:
                # It reads on for a moment: the server has begun.
                await trio.sleep(0.001)
                break
        scope.cancel()

    async def _answer(
        self, near: trio.SocketStream, far: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        while data := await far.receive_some(65536):
            if self.swallows:
                continue
            if self.delay:
                await trio.sleep(min(self.delay, math.inf))
            await near.send_all(data)
        scope.cancel()
