"""A short wait for a place that the caller itself still has.

A client that gives up on an answer and asks again finds its last request still there, at a
`max_concurrent` of 1 nearly every time (73 to 99 % of such requests were refused): the kernel may
tell of the new connection before the old one's end, and a request that is cancelled has some
tidying to do. Milliseconds later its place is free.

One line for each limit, first come, first served. Only its head asks the limits, again and again,
since where they are kept they may be in no position to call back.

A client that gives up again and again leaves several requests behind that are about to end: one has
the place, others wait for it. So a line is longer than there are places.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from ...core.limits.ledger import LimitKind, LimitRefusal, Scope
from ..protocols import OpaqueGrant

# Many times what it takes to tidy up (a millisecond or a few), and less than a retry would wait.
# It counts what was to be slept: a loop that is late is late with tidying up as well.
PATIENCE: Final = 0.08  # seconds
# And that is as long as it takes at most.
LONGEST: Final = 0.5
# Between two questions: at first, and at most. A question takes 5 µs in this process.
_FIRST: Final = 0.001
_LAST: Final = 0.02
# Between two looks of one that is not the head yet.
_BEHIND: Final = 0.005
# How many may wait besides one for each place: that many requests can a client give up before the
# end of the first is noticed.
SPARE: Final = 8

Ask = Callable[[], Awaitable[OpaqueGrant | LimitRefusal]]


class Turns:
    """The lines, by `Scope.key`. There are only those in which requests wait."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def __repr__(self) -> str:
        return f"<Turns of {sum(line.waiting for line in self._lines.values())} requests>"

    async def admitted(self, scopes: Sequence[Scope], ask: Ask) -> OpaqueGrant | LimitRefusal:
        """Return what `ask` grants, or its refusal. Waits if all that is missing is a place.

        As many requests wait as have a place, each of which may have been given up for one of
        these, and `SPARE`, which may have been given up as well. More than that is what the limit
        is there to refuse.
        """
        line = self._line(scopes) if self._lines else None
        if line is None:
            granted = await ask()
            if not _no_place(granted):
                return granted
            assert isinstance(granted, LimitRefusal)
            line = self._lines.setdefault(granted.scope.key, _Line(granted))
        if line.full:
            return line.refusal
        try:
            return await line.wait(ask)
        finally:
            if not line.waiting:
                self._lines.pop(line.refusal.scope.key, None)

    def _line(self, scopes: Sequence[Scope]) -> _Line | None:
        """Return the line that a newcomer must not overtake."""
        return next((self._lines[scope.key] for scope in scopes if scope.key in self._lines), None)


class _Line:
    def __init__(self, refusal: LimitRefusal) -> None:
        self.refusal = refusal
        # Each is told when it has become the head.
        self._waiting: dict[trio.Event, None] = {}

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        return self.waiting >= (self.refusal.scope.limits.max_concurrent or 0) + SPARE

    async def wait(self, ask: Ask) -> OpaqueGrant | LimitRefusal:
        own = trio.Event()
        self._waiting[own] = None
        try:
            return await self._take_turn(own, ask)
        finally:
            del self._waiting[own]
            if self._waiting:
                next(iter(self._waiting)).set()

    async def _take_turn(self, own: trio.Event, ask: Ask) -> OpaqueGrant | LimitRefusal:
        until = trio.current_time() + LONGEST
        slept, pause = 0.0, _FIRST
        while True:
            leads = next(iter(self._waiting)) is own
            answer = await ask() if leads else self.refusal
            left = PATIENCE - slept
            if not _no_place(answer) or left <= 0 or trio.current_time() >= until:
                return answer
            step = min(pause if leads else _BEHIND, left)
            if leads:
                await trio.sleep(step)
                pause = min(2 * pause, _LAST)
            else:
                with trio.move_on_after(step):
                    await own.wait()
            slept += step


def _no_place(granted: OpaqueGrant | LimitRefusal) -> bool:
    return isinstance(granted, LimitRefusal) and granted.kind is LimitKind.CONCURRENT
