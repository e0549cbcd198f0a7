"""The way to a store of limits: when to ask it, how long to wait, and when to leave it alone.

A request waits for one answer for 50 ms at most, and for none while the store is known to be away:
the first failure opens the breaker, and lets go of all who wait. Whether the store is back is found
out beside the requests, by a connection of its own that must answer as fast as a request needs it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
import trio

from ...core.limits.operations import BeatCall, LimitCall, StoreFailed
from ...core.routing.backoff import Rng
from ..failures import first_of
from .store import LimitStore

# Seconds between two signs of life, and after which a process without one counts no more.
BEAT_EVERY: Final = 5.0
BEAT_LASTS: Final = 20.0
# And between two looks whether the connection still is one.
LOOK_EVERY: Final = 0.25
# Seconds between two attempts to reach the store again; half of it at random, since all processes
# begin at the same moment.
RETRY_FIRST: Final = 0.1
RETRY_LAST: Final = 1.0
# Where it answers and then fails again within `STEADY` seconds.
FLAPPING_LAST: Final = 10.0
STEADY: Final = 5.0
# An answer that is missing after a pass of our own loop that was late by this says nothing of the
# store. Thrice in a row it does: then nobody knows who is slow, and waiting helps nobody.
_LATE: Final = 0.02
_LATE_PASSES: Final = 3

_log = structlog.get_logger(__name__)


class StoreLink:
    """`name` is this process's among those that share the store. `reached` is called whenever the
    store can be asked again, before anybody else asks it; `lost` when it cannot be any more.
    """

    def __init__(
        self,
        store: LimitStore,
        name: str,
        timeout: float,
        rng: Rng,
        *,
        processes: int,
        reached: Callable[[], Awaitable[None]],
        lost: Callable[[], None],
        unrecorded: bool = False,
    ) -> None:
        self.up = False
        # How many processes there are, as far as is known.
        self.processes = processes
        self.reason = "it has not been reached yet"
        self.outages = 0
        self._store = store
        self._name = name
        self._timeout = timeout
        self._rng = rng
        self._reached = reached
        self._lost = lost
        self._unrecorded = unrecorded
        self._least = processes
        self._waiting: set[trio.CancelScope] = set()
        self._down = trio.Event()
        self._late = 0
        self._since = 0.0

    def __repr__(self) -> str:
        return f"<StoreLink to {self._store!r}, {'up' if self.up else self.reason}>"

    async def ask(self, call: LimitCall) -> Any:
        """Return the answer to `call`.

        Raises StoreFailed, and then it is not known whether the call was done.
        """
        deadline = trio.current_time() + self._timeout
        with trio.CancelScope(deadline=deadline) as scope:
            self._waiting.add(scope)
            try:
                answer = await self._store.call(call)
                self._late = 0
                return answer
            except StoreFailed as exc:
                self.fail(str(exc))
                raise
            finally:
                self._waiting.discard(scope)
        if self.up:
            if trio.current_time() - deadline > _LATE:
                self._late += 1
            if self._late in (0, _LATE_PASSES):
                self.fail(f"no answer within {self._timeout * 1000:.0f} ms")
        raise StoreFailed(self.reason)

    def fail(self, reason: str) -> None:
        """Leave the store alone from now on, until it has shown that it is back."""
        self.reason = reason
        if not self.up:
            return
        self.up = False
        self.outages += 1
        self._since = trio.current_time()
        _log.warning(
            "limits_degraded: each process keeps to its share of them",
            reason=reason,
            processes=self.processes,
        )
        self._lost()
        for scope in self._waiting:
            scope.cancel("the store of limits cannot be reached")
        self._down.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the link up for as long as can be, until cancelled; started after the first try."""
        self._since = trio.current_time()
        started = False

        def tell() -> None:
            nonlocal started
            if not started:
                started = True
                task_status.started()

        pause = RETRY_FIRST
        while True:
            stayed = await self._visit(tell)
            if not started:
                _log.warning(
                    "limits_degraded: started without the others, with a share of the limits",
                    reason=self.reason,
                    processes=self.processes,
                )
                tell()
            # One that comes back and fails at once, for the one key that is not as it should be,
            # say, is asked less and less often.
            pause = RETRY_FIRST if stayed >= STEADY else min(_longest(stayed), 2 * pause)
            await trio.sleep(pause * (0.5 + 0.5 * self._rng()))

    async def leave(self) -> None:
        """Say that this process is none of those that share the store any more."""
        if self.up:
            await self.ask(BeatCall(self._name, 0.0))

    async def _visit(self, tell: Callable[[], None]) -> float:
        """Be connected for as long as it goes well; return for how many seconds it was up."""
        began = math.inf
        try:
            async with self._store.connected():
                await self._come_back()
                began = trio.current_time()
                tell()
                await self._stay()
        except* StoreFailed as group:
            self.fail(str(first_of(group)))
        except* Exception:  # noqa: BLE001
            # A mistake of ours; requests go on without the store.
            _log.exception("the limits' store cannot be asked")
            self.fail("a fault of the gateway, see its log")
        return max(0.0, trio.current_time() - began)

    async def _come_back(self) -> None:
        self._down = trio.Event()
        await self._beat()
        await self._reached()
        # Nothing is awaited from the end of `reached` on, so that no request is missed.
        self.up = True
        self._late = 0
        away = trio.current_time() - self._since
        _log.info(
            "limits are shared" if not self.outages else "limits are shared again",
            processes=self.processes,
            seconds=round(away, 3),
        )

    async def _stay(self) -> None:
        due = trio.current_time() + BEAT_EVERY
        while True:
            with trio.move_on_after(LOOK_EVERY):
                await self._down.wait()
                return
            if lost := self._store.lost:
                # Found out here, it is none of the next request's trouble.
                raise StoreFailed(lost)
            if trio.current_time() >= due:
                await self._beat()
                due = trio.current_time() + BEAT_EVERY

    async def _beat(self) -> None:
        processes: int = await self.ask(BeatCall(self._name, BEAT_LASTS, self._unrecorded))
        # Others may not have said yet that they are there, such as workers that start with us.
        self.processes = max(processes, self._least)


def _longest(stayed: float) -> float:
    return FLAPPING_LAST if stayed else RETRY_LAST
