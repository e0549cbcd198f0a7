"""Commands and answers on one connection: what is asked first is answered first.

coredis connects, greets and authenticates by this stream. From then on a question is one write, and
an answer one read and one task that wakes. By coredis's own way it is a request, two channels and
two tasks, five cancel scopes and some six hundred calls, most of them to find out that it runs on
Trio; that was a millisecond for each of a gateway's requests.

A question that is given up is answered all the same, and what is read then is passed over
(redis.io, "Redis pipelining").
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import outcome
import trio
from coredis.constants.resp import DataType
from coredis.exceptions import InvalidResponse, RedisError
from coredis.parser import NotEnoughData, Parser

from ...core.limits.operations import StoreFailed
from ...tcp import receive, send_now
from ..failures import said

# Bytes for one read, and bytes that may wait for a server that takes nothing.
_READ: Final = 65_536
_MOST: Final = 32 * 1024 * 1024

_BROKEN: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)

# What coredis's parser fails with, which is compiled: by itself, by a number that is none, and by a
# line without anything.
_NO_ANSWER: Final = (RedisError, ValueError, IndexError, SystemError)

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


def word(value: str | bytes | int) -> bytes:
    """Return one word of a command as the protocol has it."""
    data = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


def packed(*words: str | bytes | int) -> bytes:
    """Return a command of these `words`."""
    return b"*%d\r\n%b" % (len(words), b"".join(map(word, words)))


class _Question:
    """What waits for an answer; nobody does once it is given up."""

    __slots__ = ("task",)

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.task: trio.lowlevel.Task | None = task


class PipelinedStream:
    """The stream of a coredis connection, and after `take_over` all there is of it.

    coredis's task reads on, by `receive`; `flush` is to be run beside it. `hear` is called with
    what is published.
    """

    def __init__(self, stream: Stream, hear: Callable[[bytes], None]) -> None:
        # Why nothing can be asked any more, once that is so.
        self.lost = ""
        self._stream = stream
        self._socket = stream.socket if isinstance(stream, trio.SocketStream) else None
        self._hear = hear
        self._parser: Any = None
        self._questions: deque[_Question] = deque()
        self._unsent = bytearray()
        self._some = trio.Event()

    def __repr__(self) -> str:
        return f"<PipelinedStream {self.lost or 'open'}, {len(self._questions)} asked>"

    def take_over(self) -> None:
        """Let questions be asked; coredis has been answered all that it has asked."""
        self._parser = Parser()

    async def ask(self, command: bytes) -> Any:
        """Return the answer to `command`, which is as the protocol has it.

        Raises `RedisError` for one that says so, and StoreFailed where the connection is lost. Has
        no deadline: the caller brings it.
        """
        if not self.lost:
            self._send(command)
        if self.lost:
            # Whoever is cancelled together with the connection is told that, and of no failure.
            await trio.lowlevel.checkpoint_if_cancelled()
            raise StoreFailed(self.lost)
        question = _Question(trio.lowlevel.current_task())
        self._questions.append(question)

        def give_up(_: object) -> trio.lowlevel.Abort:
            question.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(give_up)

    async def flush(self) -> None:
        """Send what could not be sent at once, until cancelled or until nothing can be sent."""
        while True:
            await self._some.wait()
            self._some = trio.Event()
            while self._unsent:
                data = bytes(self._unsent)
                try:
                    await self._stream.send_all(data)
                except _BROKEN as exc:
                    self._lose(_why(exc))
                    return
                del self._unsent[: len(data)]

    # What coredis does with its stream...

    async def receive(self, max_bytes: int = _READ) -> bytes:
        """Return some bytes to coredis; once it is taken over, nothing until the end.

        Raises OSError, trio.BrokenResourceError and trio.ClosedResourceError.
        """
        try:
            while data := await self._read(max_bytes):
                if self._parser is None:
                    return data
                self._take(data)
            raise ConnectionResetError("the server has closed the connection")
        except BaseException as exc:
            self._lose(_why(exc))
            raise

    async def send(self, item: bytes) -> None:
        """Send what coredis greets with."""
        await self._stream.send_all(item)

    async def __aenter__(self) -> PipelinedStream:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stream.aclose()

    async def _read(self, limit: int) -> bytes:
        if self._socket is not None:
            return await receive(self._socket, limit)
        return bytes(await self._stream.receive_some(limit))

    def _send(self, data: bytes) -> None:
        if not self._unsent and self._socket is not None:
            try:
                sent = send_now(self._socket, data)
            except OSError as exc:
                self._lose(_why(exc))
                return
            if sent == len(data):
                return
            data = data[sent:]
        self._unsent += data
        self._some.set()
        if len(self._unsent) > _MOST:
            self._lose("the server takes nothing any more")

    def _take(self, data: bytes) -> None:
        parser = self._parser
        parser.feed(data)
        while not isinstance(found := parser.parse(), NotEnoughData):
            kind, value = found
            if kind != DataType.PUSH:
                self._answer(value)
            elif value[0] == b"message":
                self._hear(value[2])
            elif value[0] == b"subscribe":
                # With RESP3 the answer is a push as well, at the place of an answer.
                self._answer(value)

    def _answer(self, value: Any) -> None:
        if not self._questions:
            raise InvalidResponse("an answer to nothing that was asked")
        task = self._questions.popleft().task
        if task is not None:
            failed = isinstance(value, RedisError)
            trio.lowlevel.reschedule(task, outcome.Error(value) if failed else outcome.Value(value))

    def _lose(self, why: str) -> None:
        self.lost = self.lost or why
        self._unsent.clear()
        for question in self._questions:
            if question.task is not None:
                trio.lowlevel.reschedule(question.task, outcome.Error(StoreFailed(why)))
        self._questions.clear()


def _why(exc: BaseException) -> str:
    if isinstance(exc, trio.Cancelled):
        return "the connection is closed"
    if isinstance(exc, _NO_ANSWER):
        return f"the server does not keep to the protocol: {said(exc)}"
    return f"the connection is lost: {said(exc)}"
