"""Where requests begin: so many in each pass of the event loop, the others in turn.

Without it whatever has arrived begins at once. A thousand requests then are one pass that takes
half a second, every step of every other request waits for such passes, and new connections for
many of them. Here passes stay short. What does not begin waits in one line for each asker, and the
askers take turns (`core/limits/fair_queue.py`), so one that floods mostly waits for itself.

    has a turn at once ---------------------------> begins
    waits in its line ----------- called in turn -> begins
    there is no room ----------- turned away: 503
    somebody with fewer comes -- displaced: 503

How much room there is follows from how many begin in a second: as many as that gets through
within `ServingPolicy.wait`. A burst may take `burst_wait`; so the shorter one counts once the line
has stood for that long (Nichols and Jacobson, "Controlling Queue Delay",
queue.acm.org/detail.cfm?id=2209336: a queue that drains does good, one that stands only delays).

Health probes wait in a line of their own, which goes first.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import trio

from ...core.limits.fair_queue import FairQueue, Waiter
from ...lifecycle import EntryCounts
from ..policy import ServingPolicy
from .asker import asker, is_probe
from .crowd import Crowd

# How many requests begin in a pass at least. A request takes some 0.5 ms to begin and as much to
# end, so a pass takes about 10 ms; what a pass costs by itself is a hundredth of that.
FEWEST: Final = 8
# And up to so many while a line stands, as far as a pass then takes no longer than that: what is
# next to each other takes less time, since code and data are still in the processor's cache. Where
# the process has half a core or less it stays at the fewest, or a health probe would take a second.
MORE: Final = 16
_PASS: Final = 0.04
# And at most as many as take this part of the last pass. The rest is for what is under way: events
# of streams can make a pass long by themselves.
SHARE: Final = 1 / 3
# There is always room for so many, and for so many probes.
LEAST_ROOM: Final = 32
PROBES: Final = 64
# What is assumed to begin in a second until it has been measured, and for how long that takes.
_ASSUMED: Final = 500.0
_MEASURED_OVER: Final = 0.1
# How many are called out of a line that has become too long, in one pass.
_TRIMMED: Final = 64
_SAY_EVERY: Final = 10.0

_log = logging.getLogger(__name__)


class Entrant(Waiter):
    """One that waits for its turn. Exactly one of the two is called, unless it is forgotten."""

    __slots__ = ()

    def call(self) -> None:
        """Begin."""
        raise NotImplementedError

    def turn_away(self) -> None:
        """Answer 503."""
        raise NotImplementedError


class _Turn(Entrant):
    """A request on a connection that has a task already."""

    __slots__ = ("called", "granted")

    def __init__(self, caller: str, since: float) -> None:
        super().__init__(caller, since)
        self.called = trio.Event()
        self.granted = False

    def call(self) -> None:
        self.granted = True
        self.called.set()

    def turn_away(self) -> None:
        self.called.set()


class PassWatcher(Protocol):
    def __call__(self) -> None: ...


class _PassInstrument(trio.abc.Instrument):
    """Calls `begun` at the beginning of each pass of the event loop; half a microsecond."""

    def __init__(self, begun: PassWatcher) -> None:
        self._begun = begun

    def after_io_wait(self, timeout: float) -> None:
        del timeout
        self._begun()


class Entrance:
    def __init__(self, policy: Callable[[], ServingPolicy], counts: EntryCounts) -> None:
        self.crowd: Final = Crowd()
        self._policy = policy
        self._counts = counts
        # How many may still begin in this pass. Without `run` there are no passes to count.
        self._left = sys.maxsize
        self._probes: deque[Entrant] = deque()
        # The line is kept short, so first come, first served stays right.
        self._queue: FairQueue[Entrant] = FairQueue(newest_first_after=math.inf)
        self._begun = trio.Event()
        self._stands_since = math.inf
        # How many may wait, as of this pass.
        self._room = math.inf
        # Those of whom one more could not wait, as long as the line has not changed since.
        self._full_for: set[str] = set()
        self._rate = _ASSUMED
        self._measured_since = 0.0
        self._called = 0
        self._say_after = -math.inf
        self._said = 0

    def __repr__(self) -> str:
        return f"<Entrance {self._counts!r}, {self._rate:.0f}/s>"

    @property
    def busy(self) -> bool:
        """Say whether nothing more may begin in this pass."""
        return self._left <= 0

    def enter(self) -> bool:
        """Begin at once if a request may."""
        if self._left > 0:
            self._left -= 1
            return True
        return False

    def is_full_for(self, caller: str) -> bool:
        """Say whether one more of `caller` is turned away, as its last was. Not of health probes.

        Those that flood are asked about thousands of times a second, between two changes of the
        line.
        """
        return caller in self._full_for

    async def turn(self, head: bytes, address: str) -> float | None:
        """Wait for a turn, and return how many seconds that took; None if there is no room."""
        now = time.monotonic()
        waiter = _Turn(asker(head, address), now)
        if not self.line_up(waiter, probe=is_probe(head), now=now):
            return None
        try:
            await waiter.called.wait()
        except BaseException:
            self.forget(waiter)
            raise
        return time.monotonic() - now if waiter.granted else None

    def line_up(self, waiter: Entrant, *, probe: bool, now: float) -> bool:
        """Let `waiter` wait, if there is room or one that has more waiting can be displaced."""
        if probe:
            if len(self._probes) >= PROBES:
                self.note_turned_away(now)
                return False
            self._probes.append(waiter)
        else:
            if len(self._queue) >= self._room:
                displaced = self._queue.make_room(waiter.caller, now)
                self.note_turned_away(now)
                if displaced is None:
                    self._full_for.add(waiter.caller)
                    return False
                displaced.turn_away()
            if not self._queue:
                self._stands_since = self._measured_since = now
                self._called = 0
                self._room = self._room_at(now)
            self._queue.add(waiter)
            self._full_for.clear()
        self._left = 0
        self._note()
        self._begun.set()
        return True

    def forget(self, waiter: Entrant) -> None:
        """Do not call `waiter`, which does not wait any more."""
        self._queue.discard(waiter)
        self._full_for.clear()
        if waiter in self._probes:
            self._probes.remove(waiter)

    def note_turned_away(self, now: float) -> None:
        """Count a request that got 503, and say so in the log once in a while."""
        self._counts.turned_away += 1
        self.crowd.gather(now)
        if now >= self._say_after:
            self._say_after = now + _SAY_EVERY
            more = self._counts.turned_away - self._said
            self._said = self._counts.turned_away
            _log.warning(
                "requests are turned away with 503, since more are sent than can be served: "
                "%d more, %d wait for %.2f s, %.0f a second begin",
                more,
                self._counts.waiting,
                self._counts.wait,
                self._rate,
            )

    async def run(self) -> None:
        """Count passes and call those that wait, until cancelled. Then all are called."""
        instrument = _PassInstrument(self._pass_begun)
        trio.lowlevel.add_instrument(instrument)
        try:
            while True:
                if not self._queue and not self._probes:
                    self._begun = trio.Event()
                    await self._begun.wait()
                began = time.monotonic()
                await trio.lowlevel.checkpoint()
                now = time.monotonic()
                self._serve(now, now - began)
        finally:
            trio.lowlevel.remove_instrument(instrument)
            self._left = sys.maxsize
            for waiter in (*self._probes, *self._queue.clear()):
                waiter.call()
            self._probes.clear()
            self._note()

    def _pass_begun(self) -> None:
        # While some wait, later ones must not overtake them.
        self._left = 0 if self._counts.waiting else FEWEST

    def _serve(self, now: float, passed: float) -> None:
        """Call those whose turn it is, `passed` seconds after the last pass."""
        self._full_for.clear()
        count = max(FEWEST, int(passed * self._rate * SHARE))
        if self._stands(now):
            count = max(count, min(MORE, int(_PASS * self._rate)))
        half = count // 2
        while self._probes and count > half:
            self._probes.popleft().call()
            count -= 1
        while count and (waiter := self._queue.next(now)) is not None:
            waiter.call()
            self._called += 1
            count -= 1
        if self._queue:
            self._measure(now)
            self._room = self._room_at(now)
            self._trim(now)
        else:
            self._stands_since = self._room = math.inf
        self._note()

    def _measure(self, now: float) -> None:
        elapsed = now - self._measured_since
        if elapsed >= _MEASURED_OVER:
            self._rate += 0.5 * (self._called / elapsed - self._rate)
            self._measured_since, self._called = now, 0

    def _room_at(self, now: float) -> float:
        policy = self._policy()
        if not policy.wait:
            return math.inf
        wait = policy.wait if self._stands(now) else policy.burst_wait
        return max(LEAST_ROOM, self._rate * wait)

    def _stands(self, now: float) -> bool:
        return now - self._stands_since > self._policy().burst_wait

    def _trim(self, now: float) -> None:
        for _ in range(_TRIMMED):
            if len(self._queue) <= self._room:
                return
            waiter = self._queue.make_room("", now)
            if waiter is None:
                return
            self.note_turned_away(now)
            waiter.turn_away()

    def _note(self) -> None:
        waiting = len(self._queue)
        self._counts.waiting = waiting + len(self._probes)
        self._counts.wait = waiting / self._rate if waiting else 0.0
