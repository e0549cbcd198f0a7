"""A process and all its children, as one thing to start, pin, pause, measure and stop."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec
import psutil


class Usage(msgspec.Struct, frozen=True):
    """CPU seconds (user and system) since the start, and resident bytes now, of a whole tree."""

    cpu: float
    rss: int


class Tree:
    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path | None) -> None:
        self.name = name
        self.popen = process
        self.log = log
        self._root = psutil.Process(process.pid)

    @classmethod
    def start(
        cls,
        name: str,
        argv: Sequence[str],
        *,
        core: int | None,
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
    ) -> Self:
        """Start `argv` on one core (None: any), with its output going to the file `log`.

        `env` is added to the environment; `stdin` and `stdout` are as for Popen.
        """
        environment = {**os.environ, **(env or {})}
        # Compiling a whole program at every start is not how anybody runs one.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with contextlib.ExitStack() as stack:
            errors: int | None = None
            if log is not None:
                stdout, errors = stack.enter_context(log.open("ab")).fileno(), subprocess.STDOUT
            # A session of its own: Ctrl-C is for us, who then stop it in order.
            process = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=stdout,
                stderr=errors,
                env=environment,
                cwd=cwd,
                start_new_session=True,
            )
        tree = cls(name, process, log)
        tree.pin(core)
        return tree

    def __repr__(self) -> str:
        return f"<Tree {self.name} {self.popen.pid} of {len(self.processes())}>"

    def processes(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]

    def pin(self, core: int | None, *, children_only: bool = False) -> None:
        """Keep every thread of the tree on one core."""
        if core is None:
            return
        for process in self._living():
            if children_only and process == self._root:
                continue
            # Threads have affinities of their own: those already there must be moved too.
            for thread in process.threads():
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(thread.id, {core})

    def usage(self) -> Usage:
        """Measure the tree. Children that have ended are in their parent's figures."""
        cpu, rss = 0.0, 0
        for process in self._living():
            with process.oneshot():
                times = process.cpu_times()
                cpu += times.user + times.system + times.children_user + times.children_system
                rss += process.memory_info().rss
        return Usage(cpu, rss)

    def pause(self) -> None:
        """Stop the tree from running at all, so that it costs the others nothing."""
        for process in self._living():
            process.suspend()

    def resume(self) -> None:
        for process in self._living():
            process.resume()

    def stop(self, patience: float = 8.0) -> None:
        """End the tree: politely, and after `patience` seconds not."""
        processes = list(self._living())
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        if self.popen.poll() is None:
            self.popen.terminate()
        _, alive = psutil.wait_procs(processes, timeout=patience)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                pipe.close()

    def log_end(self, lines: int = 15) -> str:
        """Return the last lines of its output, for an error message."""
        if self.log is None:
            return ""
        text = self.log.read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _living(self) -> Iterator[psutil.Process]:
        if self.popen.poll() is not None:
            return
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE:
                    yield process
