"""Open connections while many requests are turned away: one epoll watches them, not a task each.

To wake the task of a connection, to let it wait again and to tell Trio's epoll so takes 20 µs, and
reading a request and writing the 503 ten. At five times what can be done four requests are turned
away for each that is served, so those 20 µs are worth it. Here the connection stays where it is
while its requests are turned away, and its task sleeps on.

Connections come here one by one, as they wait for input while `gathers`, and go back to Trio's way
of waiting, all of them, when none has been turned away for a second.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Final

import outcome
import trio

# For how long connections stay after the last request that was turned away.
STAYS: Final = 1.0
# How many are looked at in a pass of the event loop: some 5 ms.
_AT_ONCE: Final = 256
# More of a request than this is no matter of a few microseconds.
READ: Final = 16384

# Gets what has arrived. Returns None if it has dealt with it, else what the task is to get.
Deal = Callable[[bytes], bytes | None]


class _Member:
    __slots__ = ("deal", "task")

    def __init__(self, task: trio.lowlevel.Task, deal: Deal) -> None:
        self.task = task
        self.deal = deal


class Crowd:
    """`gathers` says whether connections are to wait here; only while `run` runs."""

    def __init__(self) -> None:
        self.gathers = False
        self._members: dict[int, _Member] = {}
        self._epoll: select.epoll | None = None
        self._called = trio.Event()
        self._until = 0.0

    def __repr__(self) -> str:
        return f"<Crowd of {len(self._members)}>"

    def gather(self, now: float) -> None:
        """Let connections wait here from now on: a request was turned away."""
        self._until = now + STAYS
        if not self.gathers and self._epoll is not None:
            self.gathers = True
            self._called.set()

    async def receive(self, descriptor: int, deal: Deal) -> bytes | None:
        """Return what arrives and `deal` leaves, b"" at the end; None if it is not waited for here.

        Raises OSError when the connection was reset.
        """
        epoll = self._epoll
        if epoll is None or descriptor < 0:
            return None
        try:
            epoll.register(descriptor, select.EPOLLIN)
        except OSError:
            # The user may watch no more descriptors (epoll_ctl(2), ENOSPC).
            self.gathers = False
            return None
        self._members[descriptor] = _Member(trio.lowlevel.current_task(), deal)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._take_out(descriptor)
            return trio.lowlevel.Abort.SUCCEEDED

        found: bytes | None = await trio.lowlevel.wait_task_rescheduled(abort)
        return found

    def forget(self, descriptor: int) -> None:
        """Let the task that waits for `descriptor` look again, which is about to be closed."""
        if descriptor in self._members:
            self._wake(descriptor, outcome.Value(None))

    async def run(self) -> None:
        """Watch the connections, until cancelled."""
        if not hasattr(select, "epoll"):
            return  # they wait as ever
        with select.epoll() as epoll:
            self._epoll = epoll
            try:
                while True:
                    await self._called.wait()
                    await self._watch(epoll)
                    self._called = trio.Event()
            finally:
                self._epoll = None
                self._disperse()

    async def _watch(self, epoll: select.epoll) -> None:
        while time.monotonic() < self._until:
            with trio.move_on_after(STAYS):
                await trio.lowlevel.wait_readable(epoll.fileno())
            for descriptor, _ in epoll.poll(0, _AT_ONCE):
                self._look(descriptor)
        self._disperse()

    def _look(self, descriptor: int) -> None:
        member = self._members.get(descriptor)
        if member is None:
            return  # closed by another in this very look
        try:
            left = os.read(descriptor, READ)
        except BlockingIOError:
            return
        except OSError as fault:
            self._wake(descriptor, outcome.Error(fault))
            return
        found = member.deal(left) if left else left
        if found is not None:
            self._wake(descriptor, outcome.Value(found))

    def _wake(self, descriptor: int, result: outcome.Outcome[bytes | None]) -> None:
        trio.lowlevel.reschedule(self._take_out(descriptor).task, result)

    def _take_out(self, descriptor: int) -> _Member:
        if self._epoll is not None:
            self._epoll.unregister(descriptor)
        return self._members.pop(descriptor)

    def _disperse(self) -> None:
        self.gathers = False
        for descriptor in tuple(self._members):
            self._wake(descriptor, outcome.Value(None))
