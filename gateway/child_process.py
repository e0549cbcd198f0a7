"""A program beside the gateway that is spoken to over its standard input and output."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import trio


class ChildProcess:
    """A program that runs. It ends `idle` seconds after it was last used, by `end`, or by itself.

    Its pipes raise `trio.BrokenResourceError` and `trio.ClosedResourceError` once it has ended.
    """

    def __init__(self, process: trio.Process, scope: trio.CancelScope, idle: float) -> None:
        assert isinstance(process.stdin, trio.lowlevel.FdStream)
        assert isinstance(process.stdout, trio.lowlevel.FdStream)
        self.pid: Final = process.pid
        self.stdin: Final = process.stdin
        self.stdout: Final = process.stdout
        self._scope = scope
        self._idle = idle
        self._ended = False
        self.used()

    def __repr__(self) -> str:
        return f"<ChildProcess {self.pid}{' ended' if self.ended else ''}>"

    @property
    def ended(self) -> bool:
        # Also if it was idle for too long.
        return self._ended or self._scope.cancel_called

    def used(self) -> None:
        """Have it live `idle` seconds from now."""
        self._scope.deadline = trio.current_time() + self._idle

    def end(self) -> None:
        self._ended = True
        self._scope.cancel("it is not needed any more")

    def close(self) -> None:
        """Close both pipes; under cancellation `aclose` of the first would raise before that."""
        self._ended = True
        self.stdin.close()
        self.stdout.close()


def python_path() -> dict[str, str]:
    """Return the environment in which a child that runs Python finds the same modules as we do."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


async def start_child(
    nursery: trio.Nursery, command: Sequence[str], environment: Mapping[str, str], idle: float
) -> ChildProcess:
    """Start a program, which `nursery` waits for. Raises OSError if it cannot be started."""
    run = partial(_run, command, environment, idle)
    try:
        child: ChildProcess = await nursery.start(run)
    except ExceptionGroup as exc:
        failed, others = exc.split(OSError)
        if failed is None or others is not None:
            raise
        raise OSError(str(failed.exceptions[0])) from exc
    return child


async def _run(
    command: Sequence[str],
    environment: Mapping[str, str],
    idle: float,
    task_status: trio.TaskStatus[ChildProcess],
) -> None:
    """Have a process until it has nothing to do for long, is ended, or the gateway ends."""
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(
                trio.run_process,
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=False,
                env=environment,
                deliver_cancel=_kill,
            )
        )
        child = ChildProcess(process, nursery.cancel_scope, idle)
        task_status.started(child)
        try:
            await trio.sleep_forever()
        finally:
            child.close()


async def _kill(process: trio.Process) -> None:
    process.kill()
