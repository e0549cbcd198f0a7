"""How a supervisor becomes the program that is now on disk, with all that it has.

`execve` keeps the process and its children, and the descriptors that are to be kept. That program
is tried first, by a process of its own that is given the same to go on with: whoever cannot be it
does not become it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import outcome
import structlog
import trio

from ...group.limit_host import LimitHost
from ...interrupts import holding_back
from ...serve.crew.adopted import handed
from ...serve.crew.crew import Crew
from ...serve.crew.supervisor import SIGNALS
from ...telemetry.stderr import FLUSH_SECONDS, BackgroundStream
from . import handover
from .handover import Handover
from .trial import tried

# Seconds for a worker to be there at each place: one may have died.
_ALL_READY: Final = 60.0
# Seconds for threads to begin; they have nothing else to do.
_MEETING: Final = 1.0
# For signals that have come before they were held back to be dealt with.
_SETTLE: Final = 0.02

_log = structlog.get_logger(__name__)


class Succession:
    """`command` starts the program; `known` returns what it has to know beside crew and limits."""

    def __init__(
        self,
        command: Sequence[str],
        crew: Crew,
        limits: LimitHost | None,
        known: Callable[[], Handover],
    ) -> None:
        self._command = command
        self._crew = crew
        self._limits = limits
        self._known = known

    def __repr__(self) -> str:
        return f"<Succession by {self._command}>"

    async def __call__(self) -> str:
        """Become that program, or return why not."""
        with trio.move_on_after(_ALL_READY) as waiting:
            await self._crew.all_ready()
        if waiting.cancelled_caught:
            return f"not all workers were ready within {_ALL_READY:g} s"
        try:
            descriptor = handover.write(self._handover())
            try:
                command = [*self._command, "--handover-fd", str(descriptor), "--trial"]
                if problem := await tried(command, (descriptor,)):
                    return problem
            finally:
                os.close(descriptor)
            return await self._become()
        except OSError as exc:
            return f"it can't be replaced: {exc.strerror or exc}"

    async def _become(self) -> str:
        with holding_back(SIGNALS):
            # What came before is in the event loop already, and may be the end of the gateway.
            await trio.sleep(_SETTLE)
            if self._crew.leaving.is_set():
                return "the gateway was told to leave"
            _hold_back_in_threads()
            _log.info("the supervisor takes up the code that is on disk")
            ours = self._handover()
            descriptor = handover.write(ours)
            inherited = (*ours.descriptors, descriptor)
            try:
                for each in inherited:
                    os.set_inheritable(each, True)
                sys.stdout.flush()
                stream = sys.stderr
                if isinstance(stream, BackgroundStream):
                    stream.end(FLUSH_SECONDS)
                program = self._command[0]
                os.execv(program, [*self._command, "--handover-fd", str(descriptor)])  # noqa: S606
            finally:
                # It is the old one still.
                for each in inherited:
                    os.set_inheritable(each, False)
                os.close(descriptor)

    def _handover(self) -> Handover:
        crew, limits = self._crew, self._limits
        at_post = [post.member for post in crew.posts if post.member is not None]
        return msgspec.structs.replace(
            self._known(),
            members=tuple(handed(crew.members, at_post)),
            at=time.monotonic(),
            limits=None if limits is None else limits.state(),
        )


def _hold_back_in_threads() -> None:
    """Have threads that Trio keeps hold signals back as well.

    One that they take would be lost, if the program is another one before Python has seen to it.
    Each idle thread gets one task, and none is done before all have begun.
    """
    count = sum(each.name.startswith("Trio thread") for each in threading.enumerate())
    met = threading.Barrier(count + 1)

    def hold_back() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        with contextlib.suppress(threading.BrokenBarrierError):
            met.wait(_MEETING)

    for _ in range(count):
        trio.lowlevel.start_thread_soon(hold_back, _done)
    try:
        met.wait(_MEETING)
    except threading.BrokenBarrierError:
        _log.warning("not all threads hold signals back", threads=count)


def _done(result: outcome.Outcome[None]) -> None:
    result.unwrap()
