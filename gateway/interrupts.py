"""Signals while modules are still being imported: Ctrl-C, and those that end a process by default.

Python raises KeyboardInterrupt wherever the program happens to be. In the middle of an import that
is often C code that makes a class, and not all of it minds: msgspec 0.22 crashes the process
(SIGSEGV) when it is interrupted while it reads the annotations of a Struct, and other modules turn
it into an error of theirs. An import has nothing to clean up, so the signal ends the process there
and then, as it ends a program that does not handle it.

SIGHUP and SIGUSR2 ask for something that can be done once all is there. Until then they are held
back (signal(7), "Signal mask and pending signals"): whoever asks for a reload right after the
start, as a service manager may, must not end the gateway by it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_HELD: Final = (signal.SIGHUP, signal.SIGUSR2)
# The file of all code that imports, as its frames name it.
_IMPORTING: Final = "<frozen importlib._bootstrap>"


def end_at_once_in_imports() -> None:
    """Have SIGINT end the process in an import, and raise KeyboardInterrupt elsewhere.

    A process that ignores it (`nohup`), or handles it otherwise, goes on doing so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_interrupt)


def hold_back() -> None:
    """Have SIGHUP and SIGUSR2 wait until `let_go`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)


def let_go() -> None:
    """Have them come, those that have waited too."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


@contextmanager
def outliving(signals: Collection[signal.Signals]) -> Iterator[None]:
    """Have `signals` do nothing once nobody listens for them any more, on the way to the exit.

    Until somebody does, who unblocks them then, they are held back. A second Ctrl-C, or one that
    comes when all has been done, would else end a process by the signal that has left cleanly.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    for each in signals:
        signal.signal(each, _later_or_never)
    try:
        yield
    finally:
        # Python sets what has a handler of its own back to the default when it ends, but not this.
        for each in (*signals, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)


@contextmanager
def holding_back(signals: Collection[signal.Signals]) -> Iterator[None]:
    """Keep `signals` for whoever listens for them at the end, or for the program that comes next.

    What is pending in the main thread stays so over execve(2), of which no other thread is left.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    before = {each: signal.signal(each, _later_or_never) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def _later_or_never(signum: int, frame: FrameType | None) -> None:
    """Leave a signal that is held back to who comes; else do nothing, since the exit is near.

    A mask is a thread's own, and one for the process goes to any thread that does not block it
    (signal(7)). Python then runs this in the main thread, which is sent it once more by name.
    """
    if signum in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        signal.pthread_kill(threading.main_thread().ident or 0, signum)


def leave_to_trio() -> None:
    """Give SIGINT back before `trio.run`, which protects its own code if nobody else handles it."""
    if signal.getsignal(signal.SIGINT) is _on_interrupt:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _on_interrupt(signum: int, frame: FrameType | None) -> None:
    inner = frame
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        frame = frame.f_back
    signal.default_int_handler(signum, inner)
