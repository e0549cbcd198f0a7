"""Limits that a worker shares with the others of its host: it asks the supervisor."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from ..core.limits.operations import (
    AdmitCall,
    Admitted,
    BeatCall,
    CorrectCall,
    LimitCall,
    NotAdmitted,
    ScopeLevel,
    SpendingCounted,
    StatusCall,
    StoreFailed,
)
from .frames import ANNOUNCED, LimitAsk, LimitReply, frame, frames

_READ: Final = 256 * 1024
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODER: Final = msgspec.msgpack.Decoder(LimitReply)


class _Waiter:
    """Whoever waits for an answer."""

    __slots__ = ("answer", "event")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.answer: LimitReply | None = None


class HostLimitStore:
    """`path` is the supervisor's socket."""

    def __init__(self, path: Path) -> None:
        self.hear: Callable[[bytes], None] = _nobody
        self._path = path
        self._numbers = count(1)
        self._waiting: dict[int, _Waiter] = {}
        self._unsent = bytearray()
        self._some = trio.Event()
        self._open = False

    def __repr__(self) -> str:
        return f"<HostLimitStore at {self._path}>"

    @property
    def lost(self) -> str:
        return "" if self._open else "the supervisor does not answer"

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            try:
                await sock.connect(str(self._path))
            except OSError as exc:
                raise StoreFailed(f"the supervisor: {exc.strerror or exc}") from exc
            stream = trio.SocketStream(sock)
            async with trio.open_nursery() as nursery:
                self._unsent.clear()
                self._some = trio.Event()
                self._open = True
                nursery.start_soon(self._read, stream)
                nursery.start_soon(self._write, stream)
                try:
                    yield
                finally:
                    self._lost()
                    nursery.cancel_scope.cancel("the supervisor is asked no more")
        finally:
            sock.close()

    async def call(self, call: LimitCall) -> Any:
        if not self._open:
            raise StoreFailed("the supervisor does not answer")
        number, waiter = next(self._numbers), _Waiter()
        self._waiting[number] = waiter
        self._unsent += frame(_ENCODE(LimitAsk(number, call)))
        self._some.set()
        try:
            await waiter.event.wait()
        finally:
            self._waiting.pop(number, None)
        answer = waiter.answer
        if answer is None or answer.failed:
            raise StoreFailed(answer.failed if answer else "the supervisor does not answer")
        return _typed(call, answer.answer)

    async def _read(self, stream: trio.SocketStream) -> None:
        got = bytearray()
        try:
            while data := await stream.receive_some(_READ):
                got += data
                for body in frames(got):
                    answer = _DECODER.decode(body)
                    if answer.number == ANNOUNCED:
                        self.hear(answer.answer)
                        continue
                    waiter = self._waiting.pop(answer.number, None)
                    # One that was given up waits no more.
                    if waiter is not None:
                        waiter.answer = answer
                        waiter.event.set()
        except (trio.BrokenResourceError, trio.ClosedResourceError, msgspec.MsgspecError):
            pass
        self._lost()

    async def _write(self, stream: trio.SocketStream) -> None:
        try:
            while True:
                await self._some.wait()
                self._some = trio.Event()
                data = bytes(self._unsent)
                self._unsent.clear()
                await stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._lost()

    def _lost(self) -> None:
        self._open = False
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            waiter.event.set()


def _nobody(data: bytes) -> None:
    """Hear nothing."""


def _typed(call: LimitCall, answer: Any) -> Any:
    """Return `answer`, as msgpack has it, as the call's type says."""
    match call:
        case AdmitCall():
            # A refusal is said before how full the scopes are, and a charge before a level.
            kind: Any = NotAdmitted if _is_refusal(answer) else Admitted
        case StatusCall():
            kind = list[ScopeLevel]
        case CorrectCall():
            kind = list[SpendingCounted]
        case BeatCall():
            kind = int
        case _:
            return None
    return msgspec.convert(answer, kind)


def _is_refusal(answer: Any) -> bool:
    return isinstance(answer[0], dict)
