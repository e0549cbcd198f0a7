"""A short wait for a place that the caller itself still has.

A client that gives up on an answer and asks again finds its last request still there, at a
`max_concurrent` of 1 nearly every time (73 to 99 % of such requests were refused): the kernel may
tell of the new connection before the old one's end, and a request that is cancelled has some
tidying to do. Milliseconds later its place is free.

One line for each limit, first come, first served. Only its head asks the limits, again and again,
since where they are kept they may be in no position to call back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from ...core.limits.ledger import LimitKind, LimitRefusal, Scope
from ..protocols import OpaqueGrant

# Many times what it takes to tidy up (a millisecond or a few), and less than a retry would wait.
PATIENCE: Final = 0.08  # seconds
# Between two questions: at first, and at most. A question takes 5 µs in this process.
_FIRST: Final = 0.001
_LAST: Final = 0.02

Ask = Callable[[], Awaitable[OpaqueGrant | LimitRefusal]]


class Turns:
    """The lines, by `Scope.key`. There are only those in which requests wait."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def __repr__(self) -> str:
        return f"<Turns of {sum(line.waiting for line in self._lines.values())} requests>"

    async def admitted(self, scopes: Sequence[Scope], ask: Ask) -> OpaqueGrant | LimitRefusal:
        """Return what `ask` grants, or its refusal. Waits if all that is missing is a place.

        At most as many requests wait as have a place: each of those may have been given up for
        one of these. More than that is what the limit is there to refuse.
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
        line.waiting += 1
        try:
            return await line.wait(ask)
        finally:
            line.waiting -= 1
            if not line.waiting:
                self._lines.pop(line.refusal.scope.key, None)

    def _line(self, scopes: Sequence[Scope]) -> _Line | None:
        """Return the line that a newcomer must not overtake."""
        return next((self._lines[scope.key] for scope in scopes if scope.key in self._lines), None)


class _Line:
    def __init__(self, refusal: LimitRefusal) -> None:
        self.waiting = 0
        self.refusal = refusal
        self._head = trio.StrictFIFOLock()

    @property
    def full(self) -> bool:
        return self.waiting >= (self.refusal.scope.limits.max_concurrent or 0)

    async def wait(self, ask: Ask) -> OpaqueGrant | LimitRefusal:
        deadline = trio.current_time() + PATIENCE
        with trio.CancelScope(deadline=deadline) as scope:
            await self._head.acquire()
        if scope.cancelled_caught:
            return self.refusal
        try:
            pause = _FIRST
            while True:
                granted = await ask()
                left = deadline - trio.current_time()
                if not _no_place(granted) or left <= 0:
                    return granted
                await trio.sleep(min(pause, left))
                pause = min(2 * pause, _LAST)
        finally:
            self._head.release()


def _no_place(granted: OpaqueGrant | LimitRefusal) -> bool:
    return isinstance(granted, LimitRefusal) and granted.kind is LimitKind.CONCURRENT
