"""A clock for tests: it stands still while other processes keep this one from running.

What a test says of seconds is about the gateway, not about what else the machine has to do. Linux
counts for each thread how long it was ready to run and waited for a processor (`run_delay`, the
second number of /proc/PID/task/TID/schedstat; Documentation/scheduler/sched-stats.rst). That is
taken off. All else counts: work, a loop that is blocked, a lock that another thread holds, and
waits for sockets and timers.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from typing import Any, Final

import trio

# Reading the kernel's file takes as long as a short turn of Trio's loop, which asks the time twice.
_READ_EVERY: Final = 0.001


class FairClock(trio.abc.Clock):
    """Trio's clock less `run_delay`; where the kernel does not count that, Trio's clock."""

    def __init__(self) -> None:
        self._latest = 0.0
        self._delayed = 0.0
        self._read_at = 0.0

    def start_clock(self) -> None:
        return

    def current_time(self) -> float:
        now = time.monotonic()
        if now - self._read_at >= _READ_EVERY:
            self._read_at = now
            self._delayed = _delay(os.getpid(), threading.get_native_id())
        # What it was kept waiting since then, a millisecond at most, is taken off later.
        self._latest = max(self._latest, now - self._delayed)
        return self._latest

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return deadline - self.current_time()


def run(test: Any, *, clock: trio.abc.Clock | None = None, instruments: Any = ()) -> Any:
    """Run a test as `trio.run` does, on a clock of its own or on a fair one."""
    return trio.run(test, clock=clock or FairClock(), instruments=instruments)


def fair_time(process: int, thread: int) -> float:
    """Return the seconds of `time.monotonic()` less those that `thread` waited for a processor.

    The first thread of a process has its number.
    """
    now = time.monotonic()
    return now - _delay(process, thread)


def _delay(process: int, thread: int) -> float:
    descriptor = _opened(process, thread)
    if descriptor is None:
        return 0.0
    return int(os.pread(descriptor, 100, 0).split()[1]) * _NANO


_NANO: Final = 1e-9


@functools.cache
def _opened(process: int, thread: int) -> int | None:
    try:
        return os.open(f"/proc/{process}/task/{thread}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
