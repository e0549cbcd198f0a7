"""Answers of the response cache in a Valkey or Redis server, for all processes that share it.

A connection of their own, since an answer of a megabyte would hold up questions about limits. A
server that is away or slow is a cache that knows nothing: requests are answered by providers.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec
import structlog
import trio

from ...core.cache.answers import CachedAnswer, Pairs
from ...core.limits.operations import StoreFailed
from ...core.state_server import StateServer
from ..failures import first_of
from .connection import RedisConnection

# Bytes of answers that wait to be sent. More are not worth keeping up with.
_MOST: Final = 16 * 1024 * 1024
# Seconds to send one answer, of a megabyte or so.
_SEND: Final = 5.0
# Seconds until a server that was lost is tried again.
_RETRY_FIRST: Final = 0.25
_RETRY_LAST: Final = 5.0
_LOOK: Final = 1.0

_log = structlog.get_logger(__name__)


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    status: int
    dialect: str
    headers: Pairs
    body: bytes
    stream: bool
    ttl: float


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODER: Final = msgspec.msgpack.Decoder(_Kept)


class RedisAnswers:
    """`run` keeps the connection, and sends what was kept."""

    def __init__(self, settings: StateServer) -> None:
        self._connection = RedisConnection(settings)
        self._prefix = f"{{{settings.prefix}}}:a:"
        self._timeout = settings.timeout
        self._up = False
        self._waiting: deque[tuple[bytes, bytes, float]] = deque()
        self._bytes = 0
        self._some = trio.Event()
        self._failed = trio.Event()

    def __repr__(self) -> str:
        return f"<RedisAnswers by {self._connection!r}, {len(self._waiting)} wait>"

    async def find(self, key: bytes, now: float) -> CachedAnswer | None:
        """Return the answer to `key`, of whichever process; its age is by the server's clock."""
        if not self._up:
            return None
        name = self._name(key)
        with trio.move_on_after(self._timeout) as scope:
            try:
                left = await self._connection.ask(b"PTTL", name)
                if left <= 0:
                    return None
                kept = await self._connection.ask(b"GET", name)
            except StoreFailed as exc:
                self._fail(str(exc))
                return None
        if scope.cancelled_caught:
            self._fail(f"no answer within {self._timeout * 1000:.0f} ms")
            return None
        return None if kept is None else _answer(kept, left / 1000, now)

    def keep(self, key: bytes, answer: CachedAnswer) -> None:
        """Have `answer` kept for the others, in a moment."""
        if not self._up:
            return
        data = _ENCODE(
            _Kept(
                answer.status,
                answer.dialect,
                answer.headers,
                answer.body,
                answer.stream,
                answer.ttl,
            )
        )
        if self._bytes + len(data) > _MOST:
            return
        self._bytes += len(data)
        self._waiting.append((key, data, answer.ttl))
        self._some.set()

    async def run(self) -> None:
        """Be connected whenever that can be, until cancelled."""
        pause, said = _RETRY_FIRST, False
        while True:
            try:
                async with self._connection.connected(), trio.open_nursery() as nursery:
                    self._failed = trio.Event()
                    self._up, said, pause = True, False, _RETRY_FIRST
                    nursery.start_soon(self._send)
                    await self._until_lost()
                    nursery.cancel_scope.cancel("the connection is lost")
            except* StoreFailed as group:
                if not said:
                    said = True
                    _log.warning("kept answers are not shared", error=str(first_of(group)))
            finally:
                self._up = False
                self._waiting.clear()
                self._bytes = 0
            await trio.sleep(pause)
            pause = min(_RETRY_LAST, 2 * pause)

    async def _until_lost(self) -> None:
        while not self._connection.lost:
            with trio.move_on_after(_LOOK):
                await self._failed.wait()
                return

    async def _send(self) -> None:
        while True:
            await self._some.wait()
            self._some = trio.Event()
            while self._waiting:
                key, data, ttl = self._waiting.popleft()
                self._bytes -= len(data)
                milliseconds = max(1, round(ttl * 1000))
                with trio.move_on_after(_SEND) as scope:
                    await self._connection.ask(b"SET", self._name(key), data, b"PX", milliseconds)
                if scope.cancelled_caught:
                    raise StoreFailed(f"an answer was not taken within {_SEND:.0f} s")

    def _fail(self, reason: str) -> None:
        if self._up:
            self._up = False
            _log.warning("kept answers are not shared", error=reason)
            self._failed.set()

    def _name(self, key: bytes) -> str:
        return self._prefix + key.hex()


def _answer(kept: bytes, left: float, now: float) -> CachedAnswer | None:
    """Return what `kept` says, of which `left` seconds are left; None of another version."""
    try:
        found = _DECODER.decode(kept)
    except msgspec.MsgspecError:
        return None
    return CachedAnswer(
        status=found.status,
        dialect=found.dialect,
        headers=found.headers,
        body=found.body,
        stream=found.stream,
        created=now - max(0.0, found.ttl - left),
        ttl=found.ttl,
    )
