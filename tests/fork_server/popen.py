"""`subprocess.Popen`, of a fork where that is the same."""

from __future__ import annotations

import array
import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import trio

from gateway.child_process import python_path

GATEWAY: Final = (sys.executable, "-m", "gateway")
# Followed by a text of Python and its arguments, which may be any; it has been imported what a
# gateway imports.
SCRIPT: Final = (sys.executable, "-c")
# What makes the pages of a gateway: `COMMAND` of its module.
PAGES: Final = (sys.executable, "-P", "-m", "gateway.dashboard.page_process.child")
ROOT: Final = Path(__file__).parents[2]

# The process that forks the workers of a gateway: a child of its supervisor, and none of its crew.
NAME: Final = "fork server"

# Set to 1 in the environment of a gateway whose pages are looked at: it has a process for them.
FORKS_PAGES: Final = "TESTS_FORK_PAGES"

_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
# What Python reads before anything of ours runs: with other values a fork would not be the same.
StrPath = str | os.PathLike[str]
_EARLY: Final = {"PYTHONPATH": str(ROOT)}
# `PYTHON` is the Makefile's own, and no setting of Python's.
_ANY_VALUE: Final = {"PYTHON", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


class Popen(subprocess.Popen[Any]):
    """A process as with `subprocess.Popen`, of a fork if it can be.

    These can: `python -m gateway`, `python -c`, and the process that makes a gateway's pages.
    """

    def _execute_child(
        self, args: Sequence[str], executable: Any, preexec_fn: Any, *rest: Any
    ) -> None:
        (_, pass_fds, cwd, env, _, _, shell, *pipes) = rest
        *_, new_session, group = rest
        environment = dict(os.environ if env is None else env)
        plain = not (executable or preexec_fn or shell) and group == -1
        if not (plain and can_fork(args, environment, cwd)):
            super()._execute_child(args, executable, preexec_fn, *rest)  # type: ignore[misc]
            return
        stdin_read, stdin_write, stdout_read, stdout_write, stderr_read, stderr_write, *_ = pipes
        mask = os.umask(0)
        os.umask(mask)
        words = [str(each) for each in args]
        script = words[2] if tuple(words[:2]) == SCRIPT else None
        request = {
            "script": script,
            "pages": tuple(words) == PAGES,
            "arguments": words[len(GATEWAY) :],
            "env": environment,
            "cwd": str(cwd or os.getcwd()),
            "umask": mask,
            "start_new_session": bool(new_session),
            "numbers": [0, 1, 2, *pass_fds],
        }
        given = (stdin_read, stdout_write, stderr_write)
        descriptors = [own if each == -1 else each for own, each in enumerate(given)]
        descriptors += pass_fds
        self.pid = fork_server().start(request, descriptors)
        self._child_created = True
        self._close_pipe_fds(  # type: ignore[attr-defined]
            *(stdin_read, stdin_write, stdout_read, stdout_write, stderr_read, stderr_write)
        )


def can_fork(args: Sequence[str], env: dict[str, str], cwd: StrPath | None = None) -> bool:
    """Whether a fork is the same as a process that is started with this.

    Without PYTHONPATH it imports what is in its folder or else what is installed here, our code.
    """
    early = {
        name: value
        for name, value in env.items()
        if name.startswith("PYTHON") and name not in _ANY_VALUE
    }
    if sys.platform != "linux" or isinstance(args, str | bytes):
        return False
    if tuple(args) == PAGES:
        return early == python_path()
    return (tuple(args[: len(GATEWAY)]) == GATEWAY or tuple(args[: len(SCRIPT)]) == SCRIPT) and (
        early == _EARLY or (not early and _is_ours(cwd or os.getcwd()))
    )


def _is_ours(folder: StrPath) -> bool:
    return os.path.samefile(folder, ROOT) or not os.path.exists(os.path.join(folder, "gateway"))


async def open_process(command: Sequence[str], **options: Any) -> trio.Process:
    """Do what `trio.lowlevel.open_process` does, with a fork where that is the same."""
    popen = await trio.to_thread.run_sync(lambda: Popen(command, bufsize=0, **options))
    streams = [
        None if pipe is None else trio.lowlevel.FdStream(os.dup(pipe.fileno()))
        for pipe in (popen.stdin, popen.stdout, popen.stderr)
    ]
    for pipe in (popen.stdin, popen.stdout, popen.stderr):
        if pipe is not None:
            pipe.close()
    return trio.Process._create(popen, *streams)


def run(
    args: Sequence[str],
    *,
    input: str | bytes | None = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Do what `subprocess.run` does, with a fork where that is the same."""
    if input is not None:
        options["stdin"] = subprocess.PIPE
    if capture_output:
        options["stdout"] = options["stderr"] = subprocess.PIPE
    with Popen(args, **options) as process:
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    found = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    if check:
        found.check_returncode()
    return found


class ForkServer:
    """The process that forks at the other end of `channel`."""

    def __init__(
        self, channel: socket.socket, process: subprocess.Popen[bytes] | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._channel = channel
        self._process = process

    @classmethod
    def started(cls) -> ForkServer:
        """Return the one for all tests of this process."""
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(  # noqa: S603  # ours
                [sys.executable, "-m", "tests.fork_server.server", str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, **_EARLY},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # A Ctrl-C is for the tests.
                start_new_session=True,
            )
        assert channel.recv(64) == b"ready"
        return cls(channel, process)

    def start(self, request: dict[str, Any], descriptors: Sequence[int]) -> int:
        """Start a gateway and return its process id; it is a child of this process."""
        sent = array.array("i", descriptors)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)]
        with self._lock, _adopting():
            self._channel.sendmsg([json.dumps(request).encode()], ancillary)
            return int(self._channel.recv(64))

    def end(self) -> None:
        self._channel.close()
        if self._process is not None:
            self._process.wait(30)


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Be the parent of what descendants of this process leave behind (prctl(2)).

    No longer than need be: this process reaps nothing that it does not know.
    """
    _set_subreaper(1)
    try:
        yield
    finally:
        _set_subreaper(0)


def set_name(name: str) -> None:
    """Be called so by what lists processes."""
    _prctl(_PR_SET_NAME, name.encode())


def _set_subreaper(on: int) -> None:
    _prctl(_PR_SET_CHILD_SUBREAPER, on)


def _prctl(option: int, argument: int | bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, argument, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


_running: list[ForkServer] = []
_starting = threading.Lock()


def fork_server() -> ForkServer:
    with _starting:
        if not _running:
            _running.append(ForkServer.started())
        return _running[0]


def use(channel: socket.socket) -> None:
    """Start processes of this one, which is a gateway, at the other end of `channel`."""
    _running[:] = [ForkServer(channel)]
    vars(trio.lowlevel).update(open_process=open_process)
    use_forks()


def use_forks() -> None:
    """Have `trio.run_process` of this process start forks."""
    vars(sys.modules["trio._subprocess"]).update(_open_process=open_process)


def end_fork_server() -> None:
    """Called at the end of all tests."""
    while _running:
        _running.pop().end()
