"""Ctrl-C at any moment of a start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.interrupts import end_at_once_in_imports, leave_to_trio

# A module that is interrupted while it is imported, in code that would turn that into an error.
_INTERRUPTED = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
finally:
    raise RuntimeError("goes on")
"""


def run(
    tmp_path: Path, script: str, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "interrupted.py").write_text(_INTERRUPTED)
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", "from gateway.interrupts import *\n" + script],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[1]}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=before,
    )


def test_an_import_ends_with_the_process(tmp_path: Path) -> None:
    ended = run(tmp_path, "end_at_once_in_imports()\nimport interrupted")
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def test_without_it_an_import_may_make_it_something_else(tmp_path: Path) -> None:
    assert run(tmp_path, "import interrupted").returncode == 1


def test_elsewhere_it_is_an_exception(tmp_path: Path) -> None:
    script = """
import os, signal
end_at_once_in_imports()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("cleaned up")
"""
    assert run(tmp_path, script).stdout == "cleaned up\n"


def test_who_ignores_it_goes_on(tmp_path: Path) -> None:
    script = """
import os, signal
end_at_once_in_imports()
os.kill(os.getpid(), signal.SIGINT)
print("goes on")
"""

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    assert run(tmp_path, script, ignore).stdout == "goes on\n"


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN])
def test_trio_gets_it_as_it_was(before: signal.Handlers) -> None:
    ours = signal.signal(signal.SIGINT, before)
    try:
        end_at_once_in_imports()
        leave_to_trio()
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, ours)


def test_the_program_has_it_before_it_imports_anything_else(tmp_path: Path) -> None:
    """Interrupted at the first class of a library, each command ends by the signal."""
    script = """
import builtins, os, signal, sys
real = builtins.__build_class__
def build(*args, **options):
    if "msgspec" in sys.modules:
        os.kill(os.getpid(), signal.SIGINT)
    return real(*args, **options)
import gateway.__main__
builtins.__build_class__ = build
sys.argv = ["gateway", "check"]
gateway.__main__.main()
"""
    ended = run(tmp_path, script)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def test_what_comes_when_nobody_listens_any_more_ends_nothing(tmp_path: Path) -> None:
    script = """
import os, signal, sys, trio
both = (signal.SIGTERM, signal.SIGINT)

class Last:
    # Is gone when Python has all but ended.
    def __del__(self, kill=os.kill, pid=os.getpid(), both=both):
        for each in both:
            kill(pid, each)

async def listen():
    with trio.open_signal_receiver(*both) as signals:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
        with trio.fail_after(30):
            heard = {await anext(signals), await anext(signals)}
    print(heard == set(both))

with outliving(both):
    for each in both:
        os.kill(os.getpid(), each)
    trio.run(listen)
    for each in both:
        os.kill(os.getpid(), each)
for each in both:
    os.kill(os.getpid(), each)
sys.last = Last()
print("left")
"""
    ended = run(tmp_path, script)
    assert (ended.returncode, ended.stdout) == (0, "True\nleft\n")


def test_what_comes_before_it_can_be_obeyed_waits(tmp_path: Path) -> None:
    script = """
import os, signal
hold_back()
for each in (signal.SIGHUP, signal.SIGUSR2):
    os.kill(os.getpid(), each)
heard = []
for each in (signal.SIGHUP, signal.SIGUSR2):
    signal.signal(each, lambda number, frame: heard.append(number))
assert heard == []
let_go()
print(sorted(heard) == sorted([signal.SIGHUP, signal.SIGUSR2]))
"""
    assert run(tmp_path, script).stdout == "True\n"


# A thread from before takes every signal for the process that the main thread holds back, if it
# is given a moment to.
TAKING_THREAD = """
import os, signal, sys, threading, time, trio

def take():
    while not done.wait(0.01):
        pass

done = threading.Event()
threading.Thread(target=take, daemon=True).start()

async def listen():
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        with trio.move_on_after(30):
            print(await anext(signals) == signal.SIGTERM)
"""


def test_what_is_held_back_is_not_lost_on_another_thread(tmp_path: Path) -> None:
    script = f"""{TAKING_THREAD}
with outliving([signal.SIGTERM]):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)
    trio.run(listen)
done.set()
"""
    ended = run(tmp_path, script)
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr


def test_what_is_held_back_comes_when_it_is_let_go(tmp_path: Path) -> None:
    script = f"""{TAKING_THREAD}
heard = []
signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
with holding_back([signal.SIGTERM]):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)
    print(heard)
print(heard == [signal.SIGTERM])
done.set()
"""
    ended = run(tmp_path, script)
    assert (ended.returncode, ended.stdout) == (0, "[]\nTrue\n"), ended.stderr


def test_what_is_held_back_is_for_the_program_that_comes_next(tmp_path: Path) -> None:
    script = f"""{TAKING_THREAD}
if sys.argv[1:]:
    done.set()
    with outliving([signal.SIGTERM]):
        trio.run(listen)
else:
    with holding_back([signal.SIGTERM]):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        os.execv(sys.executable, [*sys.orig_argv, "next"])
"""
    ended = run(tmp_path, script)
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr
