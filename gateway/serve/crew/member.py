"""One worker process, as its supervisor sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import trio

# In a worker's environment: which it is, from 0. Its successor is the same one.
WORKER: Final = "GATEWAY_WORKER"
# And by this one all workers of one gateway are known together.
INSTANCE: Final = "GATEWAY_INSTANCE"

# Through the lifeline: a successor accepts, so leave when all is done that has begun.
RETIRE: Final = b"r"
# Through the other pipe: this word and the version, or else why the worker can't serve.
READY: Final = b"ready "

_READ: Final = 4096
# What a worker may say about why it does not start.
_LONGEST: Final = 64 * 1024
# Seconds for what it has said last to be read, after its end.
_LAST_WORDS: Final = 1.0

# From the descriptors of the listening sockets, of the lifeline and of where a worker says that it
# is ready, to its command line.
Command = Callable[[Sequence[int], int, int], Sequence[str]]


class WorkerProcess(Protocol):
    """What is used of `trio.Process`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...

    def send_signal(self, sig: signal.Signals | int) -> None: ...

    def kill(self) -> None: ...


class Member:
    """Takes over `lifeline`, to write to, and `words`, to read from if there is still something."""

    def __init__(
        self, number: int, process: WorkerProcess, lifeline: int, words: int | None
    ) -> None:
        self.number: Final = number
        self.ready: Final = trio.Event()
        self.left: Final = trio.Event()
        # The status it left with.
        self.code: int | None = None
        self.retiring = False
        self.version = ""
        self.said = ""
        self.lifeline: Final = lifeline
        self.words: Final = words
        self._process = process

    def __repr__(self) -> str:
        state = "left" if self.left.is_set() else "ready" if self.ready.is_set() else "starting"
        return f"<Member {self.number}, process {self.pid}, {state}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    async def run(self) -> None:
        """Follow the process to its end. Cancelled, it kills it."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear)
                self.code = await self._process.wait()
                nursery.cancel_scope.deadline = trio.current_time() + _LAST_WORDS
        finally:
            if self._process.returncode is None:
                self._process.kill()
            os.close(self.lifeline)
            self.left.set()

    def send_signal(self, signum: int) -> None:
        self._process.send_signal(signum)

    def kill(self) -> None:
        self._process.kill()

    def retire(self) -> None:
        """Let it finish what it has: its successor accepts."""
        self.retiring = True
        # One that has just died needs no telling.
        with contextlib.suppress(OSError):
            os.write(self.lifeline, RETIRE)

    async def _hear(self) -> None:
        if self.words is None:
            return
        got = bytearray()
        async with trio.lowlevel.FdStream(self.words) as words:
            while data := await words.receive_some(_READ):
                got += data[: _LONGEST - len(got)]
                if got.startswith(READY) and got.endswith(b"\n"):
                    self.version = got[len(READY) :].decode(errors="replace").strip()
                    self.ready.set()
        if not self.ready.is_set():
            self.said = got.decode(errors="replace").strip()


async def start(
    command: Command, number: int, listeners: Sequence[int], pass_fds: Sequence[int]
) -> Member:
    """Start worker `number`. Raises OSError."""
    lifeline_read, lifeline_write = os.pipe()
    words_read, words_write = os.pipe()
    # A session of its own keeps Ctrl-C of the terminal to the supervisor, which forwards it: a
    # worker that got it twice would skip its drain.
    try:
        process = await trio.lowlevel.open_process(
            list(command(listeners, lifeline_read, words_write)),
            pass_fds=(*listeners, lifeline_read, words_write, *pass_fds),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, WORKER: str(number)},
        )
    except BaseException:
        os.close(lifeline_write)
        os.close(words_read)
        raise
    finally:
        os.close(lifeline_read)
        os.close(words_write)
    return Member(number, process, lifeline_write, words_read)
