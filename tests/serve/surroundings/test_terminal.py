from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
# Says what it is told by the first hangup, in a file: its terminal is gone by then.
WATCH: Final = """
import os, signal, sys, threading
from gateway.serve.surroundings.terminal import StartingTerminal
terminal, told = StartingTerminal(), []
signal.signal(signal.SIGHUP, lambda *_: told.append(terminal.closed))
print(repr(terminal), flush=True)
while not told:
    signal.pause()
open(sys.argv[1], "w").write(str(told[0]))
"""


def watch(command: list[str], file: Path, *, with_terminal: bool) -> tuple[int, int]:
    """Start a process that watches its terminal; return its id and the other end of that."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [*command, sys.executable, "-c", WATCH, str(file)]
    if with_terminal:
        pid, master = pty.fork()
        if pid == 0:
            os.execvpe(arguments[0], arguments, environ)  # noqa: S606
        assert b"closed" in os.read(master, 1000)
        return pid, master
    process = subprocess.Popen(  # noqa: S603
        arguments, env=environ, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert b"none" in process.stdout.readline()
    return process.pid, process.stdout.fileno()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("with_terminal", "command", "close", "expected"),
    [
        (True, ["env"], True, "True"),
        (True, ["env"], False, "False"),
        (False, ["env"], False, "False"),
    ],
    ids=["closed", "signalled", "no terminal"],
)
@pytest.mark.slow
def test_a_terminal_that_closes_is_told_from_a_signal(
    tmp_path: Path, with_terminal: bool, command: list[str], close: bool, expected: str
) -> None:
    file = tmp_path / "told"
    pid, master = watch(command, file, with_terminal=with_terminal)
    if close:
        os.close(master)
    else:
        os.kill(pid, signal.SIGHUP)
    deadline = time.monotonic() + 20
    while not file.exists() or not file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.waitpid(pid, 0)
    if not close and with_terminal:
        os.close(master)
    assert file.read_text() == expected
