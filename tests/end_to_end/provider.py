"""A scripted provider: a TCP server that plays, for each request, steps of bytes and accidents.

A script is the answer as it stands on the wire, head and framing included, so that it can be
wrong in any way:

    [(0.0, stream_head()), (0.1, framed(event({"content": "Hi"}))), (0.0, RESET)]

Each step waits for its delay and then does its deed. A script that ends without `EOF`, `RESET`
or `STALL` leaves the connection open for the next request.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from .wire import EOF, RESET, STALL, Script, Step, completion, streamed, whole, words

# Small enough for `Asked.sent` to say closely how much a peer has let us send.
_PIECE: Final = 16 * 1024


@dataclass
class Asked:
    """One request as it came, and what became of its answer. Header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    sent: int = 0
    peer_left: trio.Event = field(default_factory=trio.Event)
    played: trio.Event = field(default_factory=trio.Event)

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def wants_usage(self) -> bool:
        """Say whether usage is sent with a stream, by OpenAI's rule."""
        return bool((self.json.get("stream_options") or {}).get("include_usage"))


class Provider:
    """`answer` makes the script of each request; `asked` are the requests so far."""

    def __init__(self, answer: Callable[[Asked], Iterable[Step]]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.port = 0
        self.open_connections = 0
        self.connections = 0

    def __repr__(self) -> str:
        return f"<Provider :{self.port} {len(self.asked)} asked, {self.open_connections} open>"

    async def wait_asked(self, count: int) -> Asked:
        """Return request number `count`, counted from 1, once it has come."""
        await until(lambda: len(self.asked) >= count, f"{count} requests at the provider")
        return self.asked[count - 1]

    async def wait_open(self, count: int, seconds: float = 10) -> None:
        """Wait until exactly `count` connections are open."""
        what = f"{count} open connections at the provider, not {self.open_connections}"
        await until(lambda: self.open_connections == count, what, seconds)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer the requests of one connection."""
        self.open_connections += 1
        self.connections += 1
        number = self.connections
        reader = _Reader(stream)
        try:
            async with stream:
                while (asked := await reader.request(number)) is not None:
                    self.asked.append(asked)
                    if not await _play(self.answer(asked), asked, stream, reader):
                        return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            self.open_connections -= 1


class _Reader:
    """Cuts a connection's input into requests, and sees the peer leave."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        # Of large bodies: bytes would be copied anew for each piece that comes.
        self._buffer = bytearray()

    async def request(self, connection: int) -> Asked | None:
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {}
        for each in lines:
            name, _, value = each.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        while len(self._buffer) < length:
            if not await self._more():
                return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return Asked(method, target, headers, body, connection)

    async def watch(self) -> None:
        """Return when the peer has left."""
        while await self._more():
            pass

    async def _more(self) -> bool:
        try:
            data = await self._stream.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        self._buffer += data
        return bool(data)


async def _play(
    script: Iterable[Step], asked: Asked, stream: trio.SocketStream, reader: _Reader
) -> bool:
    """Play `script`; say whether the connection can carry another request."""
    goes_on = False

    async def watch(scope: trio.CancelScope) -> None:
        await reader.watch()
        asked.peer_left.set()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        goes_on = await _play_steps(script, asked, stream)
        asked.played.set()
        nursery.cancel_scope.cancel()
    return goes_on


async def _play_steps(script: Iterable[Step], asked: Asked, stream: trio.SocketStream) -> bool:
    for delay, deed in script:
        # Also with no delay: a whole answer need not be one segment.
        await trio.sleep(delay)
        if deed is EOF:
            await stream.send_eof()
            return False
        if deed is RESET:
            reset(stream)
            return False
        if deed is STALL:
            await trio.sleep_forever()
        assert isinstance(deed, bytes)
        for start in range(0, len(deed), _PIECE):
            piece = deed[start : start + _PIECE]
            try:
                await stream.send_all(piece)
            except trio.BrokenResourceError:
                asked.peer_left.set()
                return False
            asked.sent += len(piece)
    return True


def reset(stream: trio.SocketStream) -> None:
    """Close a connection so that its peer gets a reset."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


@contextlib.asynccontextmanager
async def serving(
    *scripts: Script | Callable[[Asked], Iterable[Step]], port: int = 0
) -> AsyncIterator[Provider]:
    """Run a provider that plays the scripts in turn, and then the last one again and again.

    At the end nobody listens at its port any more; `port` makes it come back where it was.
    """
    provider = Provider(lambda asked: _script(scripts, provider, asked))
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        provider.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, provider.serve, listeners)
        try:
            yield provider
        finally:
            nursery.cancel_scope.cancel()


def _script(
    scripts: Sequence[Script | Callable[[Asked], Iterable[Step]]], provider: Provider, asked: Asked
) -> Iterable[Step]:
    script = scripts[min(len(provider.asked), len(scripts)) - 1]
    return script(asked) if callable(script) else script


async def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait until `condition` holds; fail, naming `what`, if it does not come about."""
    pause = 0.005
    with trio.move_on_after(seconds):
        while not condition():  # any condition, which no event tells
            await trio.sleep(pause)
            # What takes long to come need not be looked for so often.
            pause = min(pause * 1.1, 0.03)
        return
    raise AssertionError(f"not within {seconds:g} s: {what}")


def speaking(asked: Asked) -> Script:
    """Answer whatever is asked for, in the form it is asked for, as OpenAI would."""
    if asked.json.get("stream"):
        return streamed(words("Hello", " there", ".", usage=asked.wants_usage))
    return [(0.0, whole(200, completion()))]
