from __future__ import annotations

import os
import pty
import signal
import sys
import time
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
# Says what it is told by the first hangup, in a file: its terminal is gone by then.
WATCH: Final = """
import os, signal, sys, time
from gateway.serve.surroundings.terminal import StartingTerminal
terminal, told = StartingTerminal(), []
signal.signal(signal.SIGHUP, lambda *_: told.append(terminal.closed))
print(repr(terminal), flush=True)
while not told:
    time.sleep(0.02)
open(sys.argv[1], "w").write(str(told[0]))
time.sleep(60)
"""


def started(file: Path, *, with_terminal: bool, ignoring: bool) -> tuple[int, int]:
    """Start a process that watches its terminal; return its id and the other end of that."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", WATCH, str(file)]
    other_end, said = pty.openpty() if with_terminal else os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if ignoring:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.dup2(said, 1)
        if with_terminal:
            # The first terminal that the leader of a session opens is its own (tty(4)).
            os.close(os.open(os.ttyname(said), os.O_RDWR))
        os.closerange(3, 256)
        os.execvpe(arguments[0], arguments, environ)  # noqa: S606
    os.close(said)
    read = b""
    while not read.endswith(b"\n"):
        read += os.read(other_end, 1000)
    assert read.startswith(b"<StartingTerminal ")
    return pid, other_end


@pytest.mark.slow
@pytest.mark.parametrize(
    ("with_terminal", "ignoring", "close", "expected"),
    [
        (True, False, True, "True"),
        (True, False, False, "False"),
        (True, True, True, "False"),
        (False, False, False, "False"),
    ],
    ids=["closed", "signalled", "nohup", "no terminal"],
)
def test_a_terminal_that_closes_is_told_from_a_signal(
    tmp_path: Path, with_terminal: bool, ignoring: bool, close: bool, expected: str
) -> None:
    file = tmp_path / "told"
    pid, other_end = started(file, with_terminal=with_terminal, ignoring=ignoring)
    try:
        if close:
            os.close(other_end)
        else:
            os.kill(pid, signal.SIGHUP)
        deadline = time.monotonic() + 30
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if not close:
            os.close(other_end)
    assert file.read_text() == expected
