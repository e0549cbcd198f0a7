"""Time in which the process was stopped, and waits that do not count it.

A process that is stopped for ten seconds (SIGSTOP, a debugger, a frozen container, one call that
computes for so long) cannot listen. What others sent in the meantime waits in its sockets, but at
its first look at the clock all deadlines of less than ten seconds have passed, and Trio cancels
what they bound before anything is read. That would be held against providers and clients that
have done nothing wrong.

So the event loop is timed. A pass that takes longer than the loop meant to sleep, by more than
`UNNOTICED`, moves on the deadline of every `RunningScope` by the rest: after the wait for input
and before Trio looks for what has expired (`unrolled_run` in trio/_core/_run.py). A loop that is
always late therefore still gets on, by `UNNOTICED` in each pass at least.

A machine that is suspended stops CLOCK_MONOTONIC too (clock_gettime(2)), and with it Trio's clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol

import trio

# In seconds. The longest passes of an overloaded loop are about as long; and no deadline is so
# short that this much of it would be missed.
UNNOTICED: Final = 0.5
# The loop wakes so often. What it meant to sleep longer for could not be told from a stop.
TICK: Final = 0.25


class Movable(Protocol):
    """Something that times a wait."""

    def move(self, seconds: float) -> None:
        """Take note that `seconds` of the wait do not count."""
        ...


class Stops(trio.abc.Instrument):
    """Times the passes of the event loop that it is installed in, while `watch` runs.

    `total` is the number of seconds in which the process was stopped. `clock` is a real one, as
    the loop's own may be virtual.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.total = 0.0
        self._clock = clock
        self._last = math.inf
        self._waits: set[Movable] = set()

    def __repr__(self) -> str:
        return f"<Stops of {self.total:.3g} s, {len(self._waits)} waits>"

    async def watch(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Time the loop until cancelled."""
        _installed.set(self)
        trio.lowlevel.add_instrument(self)
        try:
            task_status.started()
            while True:  # noqa: ASYNC110  # no event: only so that the loop never sleeps for long
                await trio.sleep(TICK)
        finally:
            trio.lowlevel.remove_instrument(self)
            _installed.set(_NONE)

    def after_io_wait(self, timeout: float) -> None:
        now = self._clock()
        stopped = now - self._last - timeout - UNNOTICED
        self._last = now
        if stopped > 0.0:
            self.note(stopped)

    def note(self, seconds: float) -> None:
        """Move on every wait, since the process was stopped for `seconds`."""
        self.total += seconds
        for wait in self._waits:
            wait.move(seconds)

    def add(self, wait: Movable) -> None:
        self._waits.add(wait)

    def discard(self, wait: Movable) -> None:
        self._waits.discard(wait)


# One for each event loop. Where none is installed, deadlines are plain ones.
_NONE: Final = Stops()
_installed: Final = trio.lowlevel.RunVar[Stops]("stops", _NONE)


def stops() -> Stops:
    """Return what times this event loop."""
    return _installed.get()


class RunningScope:
    """A cancel scope whose deadline moves on by the time in which the process was stopped.

    The deadline is Trio's and may be set again inside; it is never moved beyond `latest`.
    """

    __slots__ = ("_latest", "_scope", "_stops")

    def __init__(self, deadline: float = math.inf, latest: float = math.inf) -> None:
        self._scope = trio.CancelScope(deadline=min(deadline, latest))
        self._latest = latest
        self._stops = _installed.get()

    def __repr__(self) -> str:
        return f"<RunningScope {self._scope!r}>"

    def __enter__(self) -> trio.CancelScope:
        self._stops.add(self)
        return self._scope.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._stops.discard(self)
        return self._scope.__exit__(exc_type, exc, traceback)

    def move(self, seconds: float) -> None:
        scope = self._scope
        if scope.deadline < self._latest:
            scope.deadline = min(scope.deadline + seconds, self._latest)


def running_after(seconds: float) -> RunningScope:
    """Return a scope that ends after `seconds` in which the process ran; infinity is never."""
    return RunningScope(trio.current_time() + seconds)
