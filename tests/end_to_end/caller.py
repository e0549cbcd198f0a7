"""A caller on a raw socket, for what no SDK would do: leave, stall, pipeline, never end."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import h11
import trio

from .harness import PATIENCE
from .provider import reset

Headers = Sequence[tuple[str, str]]


@dataclass
class Reply:
    """An answer. `complete` says whether it ended as its framing demands."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        return found

    @property
    def events(self) -> list[bytes]:
        """Return the blocks of a stream, each without its blank line."""
        return [block for block in self.body.split(b"\n\n") if block]


class Caller:
    """One connection to a gateway, for one request after another.

    A request that follows an answer with `connection: close` is sent on a new connection, as
    every HTTP client does (RFC 9112 section 9.6).
    """

    def __init__(
        self, port: int, receive_buffer: int | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.stream: trio.SocketStream
        self.connections = 0
        self._address = (host, port)
        self._receive_buffer = receive_buffer
        self.status = 0
        self.headers: dict[str, str] = {}

    async def ask(
        self,
        *,
        key: str | None = None,
        request_id: str = "",
        headers: Headers = (),
        **body: Any,
    ) -> None:
        """Send a chat completion request for the model `m`."""
        await self.post(chat_body(**body), key=key, request_id=request_id, headers=headers)

    async def post(
        self,
        body: bytes,
        *,
        key: str | None = None,
        request_id: str = "",
        target: str = "/v1/chat/completions",
        headers: Headers = (),
    ) -> None:
        await self.begin(len(body), key=key, request_id=request_id, target=target, headers=headers)
        await self.stream.send_all(self._send(h11.Data(data=body)) + self._send(h11.EndOfMessage()))

    async def begin(
        self,
        length: int,
        *,
        key: str | None = None,
        request_id: str = "",
        target: str = "/v1/chat/completions",
        method: str = "POST",
        headers: Headers = (),
    ) -> None:
        """Send a request's head only."""
        all_headers = [("host", "gateway.test"), ("content-length", str(length))]
        if not any(name == "content-type" for name, _ in headers):
            all_headers += [("content-type", "application/json")]
        all_headers += headers
        all_headers += [("authorization", f"Bearer {key}")] if key else []
        all_headers += [("x-request-id", request_id)] if request_id else []
        event = h11.Request(method=method, target=target, headers=all_headers)
        await self._reopen_if_closed()
        await self.stream.send_all(self._send(event))

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """Send a part of a body whose head is sent; `end`: there is no more of it."""
        written = self._send(h11.Data(data=data))
        if end:
            written += self._send(h11.EndOfMessage())
        await self.stream.send_all(written)

    async def get(
        self, target: str, *, key: str | None = None, method: str = "GET", headers: Headers = ()
    ) -> Reply:
        all_headers = [("host", "gateway.test"), *headers]
        all_headers += [("authorization", f"Bearer {key}")] if key else []
        event = h11.Request(method=method, target=target, headers=all_headers)
        await self._reopen_if_closed()
        await self.stream.send_all(self._send(event) + self._send(h11.EndOfMessage()))
        return await self.reply()

    async def head(self) -> int:
        """Read the answer's head; return its status."""
        event = await self._next()
        assert isinstance(event, h11.Response), event
        self.status = event.status_code
        self.headers = {name.decode(): value.decode() for name, value in event.headers}
        return self.status

    async def some(self) -> bytes | None:
        """Return some of the answer's body; None at its proper end."""
        event = await self._next()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def until(self, text: bytes) -> bytes:
        """Read the body until it contains `text`; return what was read."""
        got = b""
        while text not in got:
            data = await self.some()
            assert data is not None, f"ended without {text!r}: {got!r}"
            got += data
        return got

    async def rest(self) -> tuple[bytes, bool]:
        """Return the rest of the body, and whether it ended properly."""
        got = bytearray()
        try:
            while (data := await self.some()) is not None:
                got += data
        except (h11.RemoteProtocolError, trio.BrokenResourceError):
            return bytes(got), False
        return bytes(got), True

    async def reply(self) -> Reply:
        """Read a whole answer and make ready for the next request."""
        with trio.fail_after(PATIENCE):
            await self.head()
            body, complete = await self.rest()
        if complete and self._h11.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            self._h11.start_next_cycle()
        return Reply(self.status, self.headers, body, complete)

    async def ended(self) -> bool:
        """Wait for the gateway to close the connection; say whether it did so in order."""
        with trio.fail_after(PATIENCE):
            try:
                while await self.stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                return False
        return True

    def reset(self) -> None:
        reset(self.stream)

    async def open(self) -> None:
        """Connect, once more if need be."""
        sock = trio.socket.socket()
        try:
            if self._receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
            await sock.connect(self._address)
            self.stream = trio.SocketStream(sock)
        except BaseException:
            sock.close()
            raise
        self.connections += 1
        self._h11 = h11.Connection(h11.CLIENT)

    async def _reopen_if_closed(self) -> None:
        # Only after an answer that said so: a connection that ends without a word is a fault.
        if self._h11.our_state is h11.MUST_CLOSE:
            await self.stream.aclose()
            await self.open()

    def _send(self, event: h11.Event) -> bytes:
        data: bytes = self._h11.send(event) or b""
        return data

    async def _next(self) -> h11.Event:
        with trio.fail_after(PATIENCE):
            while True:
                event = self._h11.next_event()
                if event is not h11.NEED_DATA:
                    assert isinstance(event, h11.Event), event
                    return event
                self._h11.receive_data(await self.stream.receive_some())


def chat_body(*, stream: bool = False, **more: Any) -> bytes:
    """Return the body of a chat completion request."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **more}
    return json.dumps(body | {"stream": True} if stream else body).encode()


@contextlib.asynccontextmanager
async def calling(
    port: int, *, receive_buffer: int | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Caller]:
    """Open a connection; `receive_buffer` bounds what the kernel takes for us, in bytes."""
    caller = Caller(port, receive_buffer, host)
    await caller.open()
    try:
        yield caller
    finally:
        await caller.stream.aclose()


async def ask(
    port: int,
    *,
    key: str | None = None,
    headers: Headers = (),
    host: str = "127.0.0.1",
    **body: Any,
) -> Reply:
    """Make one request on a connection of its own."""
    async with calling(port, host=host) as caller:
        await caller.ask(key=key, headers=headers, **body)
        return await caller.reply()


async def get(port: int, target: str, *, key: str | None = None, host: str = "127.0.0.1") -> Reply:
    async with calling(port, host=host) as caller:
        return await caller.get(target, key=key)


async def generations(port: int, admin: str) -> dict[int, int]:
    """Return the generation of each process's configuration, of those that happen to answer."""
    found = {}
    for _ in range(8):
        status = (await get(port, "/admin/api/status", key=admin)).json
        found[status["pid"]] = status["config"]["generation"]
    return found
