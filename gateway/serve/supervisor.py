"""Several worker processes behind the same listening sockets.

Hypercorn's own parent stops everything when one worker dies, exits with 0 then, and kills the
workers that still drain once the first of them is done. This one starts a dead worker again
and waits for all of them. The sockets are opened once and inherited, so no connection is
refused while a worker is away; the kernel hands each new one to a worker that accepts.

Every worker holds the reading end of a pipe whose writing end is the supervisor's. If the
supervisor is killed and can send no signal, the pipe's EOF tells the workers.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import trio

from .surroundings.terminal import StartingTerminal

# In a worker's environment: which it is, from 0. Its successor is the same one.
WORKER: Final = "GATEWAY_WORKER"
# And by this one all workers of one gateway are known together.
INSTANCE: Final = "GATEWAY_INSTANCE"
BACKOFF_FIRST: Final = 0.1
BACKOFF_LAST: Final = 5.0
# A worker that ran this long was well: its end is a new event, not a failure to start.
HEALTHY_AFTER: Final = 30.0

_log = logging.getLogger(__name__)

# From the descriptors of the listening sockets and of the lifeline to a worker's command line.
Command = Callable[[Sequence[int], int], Sequence[str]]


async def supervise(
    command: Command,
    *,
    sockets: Sequence[socket.socket],
    workers: int,
    kill_after: float,
    on_started: Callable[[int], None] | None = None,
    pass_fds: Sequence[int] = (),
) -> int:
    """Keep `workers` processes of `command` running until a signal; return the exit status.

    Takes the sockets over. SIGTERM and SIGINT are forwarded and then awaited, SIGHUP is only
    forwarded; from a terminal that has closed it is SIGINT. `kill_after` seconds after the first
    of them the workers still there are killed. The status is 0 if every worker left cleanly after
    the signal, else 1. `on_started` gets each process id. Workers inherit `pass_fds` too.
    """
    read_end, write_end = os.pipe()
    crew = _Crew(command, sockets, read_end, on_started, pass_fds)
    terminal = StartingTerminal()
    try:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crew.forward, signals, kill_after, terminal)
                async with trio.open_nursery() as workers_nursery:
                    for number in range(workers):
                        workers_nursery.start_soon(crew.keep_running, number)
                nursery.cancel_scope.cancel("every worker has left")
    finally:
        os.close(read_end)
        os.close(write_end)
    return crew.status


class _Crew:
    def __init__(
        self,
        command: Command,
        sockets: Sequence[socket.socket],
        lifeline: int,
        on_started: Callable[[int], None] | None,
        pass_fds: Sequence[int],
    ) -> None:
        self.status = 0
        listeners = [sock.fileno() for sock in sockets]
        self._sockets = sockets
        self._argv = list(command(listeners, lifeline))
        self._descriptors = (*listeners, lifeline, *pass_fds)
        self._on_started = on_started
        self._processes: set[trio.Process] = set()
        self._leaving = trio.Event()

    async def keep_running(self, number: int) -> None:
        """Run worker `number`, and the next when it dies, until told to leave."""
        backoff = BACKOFF_FIRST
        while not self._leaving.is_set():
            began = trio.current_time()
            code = await self._run_one(number)
            if self._leaving.is_set():
                return
            if code == -signal.SIGHUP:
                # It was still starting. The next one reads what it was asked to read.
                _log.info("a worker was asked to reload before it could, another starts")
                continue
            lived = trio.current_time() - began
            if lived >= HEALTHY_AFTER:
                backoff = BACKOFF_FIRST
            _log.error("a worker left after %.1f s, another starts in %.1f s", lived, backoff)
            with trio.move_on_after(backoff):
                await self._leaving.wait()
            backoff = min(BACKOFF_LAST, 2 * backoff)

    async def _run_one(self, number: int) -> int | None:
        """Return with which status it left, None if it never began."""
        # A session of its own keeps Ctrl-C of the terminal to the supervisor, which forwards
        # it: a worker that got it twice would skip its drain.
        try:
            process: trio.Process = await trio.lowlevel.open_process(
                self._argv,
                pass_fds=self._descriptors,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, WORKER: str(number)},
            )
        except OSError:
            # Such as EAGAIN at the limit of processes, which may pass.
            _log.exception("a worker can't be started")
            return None
        self._processes.add(process)
        if self._on_started is not None:
            self._on_started(process.pid)
        if self._leaving.is_set():
            # The signal came while it was being started, and was not forwarded to it.
            process.send_signal(signal.SIGTERM)
        try:
            code = await process.wait()
        finally:
            self._processes.discard(process)
            if process.returncode is None:
                process.kill()
        # A worker that was still starting dies of the signal, with nothing to drain.
        clean = code in (0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)
        if self._leaving.is_set() and not clean:
            _log.error("worker %d left with status %d", process.pid, code)
            self.status = 1
        return code

    async def forward(
        self, signals: AsyncIterator[int], kill_after: float, terminal: StartingTerminal
    ) -> None:
        async with trio.open_nursery() as nursery:
            async for received in signals:
                closed = received == signal.SIGHUP and terminal.closed
                signum = signal.SIGINT if closed else received
                if signum != signal.SIGHUP and not self._leaving.is_set():
                    self._leaving.set()
                    # Or clients would go on queueing here after the workers stopped accepting.
                    for sock in self._sockets:
                        sock.close()
                    nursery.start_soon(self._kill_later, kill_after)
                for process in tuple(self._processes):
                    process.send_signal(signum)

    async def _kill_later(self, seconds: float) -> None:
        await trio.sleep(seconds)
        for process in tuple(self._processes):
            _log.error("worker %d does not leave, killing it", process.pid)
            process.kill()
