"""How many bytes of request bodies the process holds at once.

A body is held for as long as its request lasts, since every attempt may need it, and each attempt
makes a copy of it with the provider's name of the model. Without a bound, sixty bodies of 16 MiB
are 3 GB, and the end of a process that may have less.

The bytes are counted before they are read: a request whose body has no room waits shortly, and
TCP makes its client wait, too. A session over WebSocket holds its message of now in the same way,
frame by frame as it comes, and the first one for as long as it may have to be sent again.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import trio

from ...config.schema import Config
from ...core.limits.shedding import come_back
from ...core.routing.backoff import Rng
from ...errors import Overloaded

# A body up to this size never waits. It is little beside what a connection and a request take
# anyway, and large bodies must not keep the small ones, which are most, from being served.
SMALL: Final = 64 * 1024
# The part of the room that one caller may take, however slowly it sends what it has announced.
SHARE: Final = 0.5


class BodyMemory:
    """The bytes that are held, of all bodies and of each caller's. A reload sets the bounds.

    `usual` is how many bytes there may be where the configuration does not say it.
    """

    def __init__(self, usual: float = math.inf) -> None:
        self.held = 0
        self._usual = usual
        self._limit = self._share = self._largest = math.inf
        self._max_queue = 0
        self._timeout = 0.0
        self._callers: dict[str, int] = {}
        self._waiting: deque[_Waiter] = deque()

    def __repr__(self) -> str:
        return f"<BodyMemory {self.held} of {self._limit} bytes, {len(self._waiting)} waiting>"

    def configure(self, config: Config) -> None:
        """Take new bounds. What is held stays, and what waits keeps its timeout."""
        said, largest = config.overload.max_body_memory, config.server.max_body_bytes
        limit = self._usual if said is None else said or math.inf
        # However little memory there is, the largest body that is allowed fits in alone.
        self._limit, self._largest = max(limit, largest), largest
        # Without tokens all callers are one.
        self._share = max(SHARE * self._limit, largest) if config.tokens else math.inf
        self._max_queue, self._timeout = config.limits.max_queue, config.limits.queue_timeout
        self._serve()

    def take_nowait(self, caller: str, size: int, bodies: float = math.inf) -> bool:
        """Hold `size` more bytes of `caller`'s if there is room and no request waits for it.

        `bodies` of the largest size are as much as the caller may have at once.
        """
        if size > SMALL and (self._waiting or not self._fits(caller, size, bodies)):
            return False
        self._take(caller, size)
        return True

    async def take(self, caller: str, size: int, rng: Rng, bodies: float = math.inf) -> None:
        """Hold `size` more bytes of `caller`'s, once there is room. Raises Overloaded."""
        if self.take_nowait(caller, size, bodies):
            return
        if len(self._waiting) < self._max_queue:
            waiter = _Waiter(caller, size, bodies)
            self._waiting.append(waiter)
            # Others may wait for what only this caller's share has no room for.
            self._serve()
            try:
                with trio.move_on_after(self._timeout):
                    await waiter.called.wait()
            except BaseException:
                if waiter.called.is_set():
                    self.give(caller, size)
                raise
            finally:
                if not waiter.called.is_set():
                    self._waiting.remove(waiter)
                    self._serve()
            if waiter.called.is_set():
                return
        message = "the gateway holds as many large requests as it has memory for; try again"
        raise Overloaded(message, retry_after=come_back(rng))

    def give(self, caller: str, size: int) -> None:
        """Let go of `size` bytes of `caller`'s."""
        self.held -= size
        left = self._callers[caller] - size
        if left:
            self._callers[caller] = left
        else:
            del self._callers[caller]
        if self._waiting:
            self._serve()

    def _take(self, caller: str, size: int) -> None:
        self.held += size
        self._callers[caller] = self._callers.get(caller, 0) + size

    def _fits(self, caller: str, size: int, bodies: float) -> bool:
        share = min(self._share, bodies * self._largest)
        return self.held + size <= self._limit and self._callers.get(caller, 0) + size <= share

    def _serve(self) -> None:
        """Let in who waits, first come, first served; but none waits for another caller's share."""
        for waiter in tuple(self._waiting):
            if self.held + waiter.size > self._limit:
                return
            if self._fits(waiter.caller, waiter.size, waiter.bodies):
                self._take(waiter.caller, waiter.size)
                self._waiting.remove(waiter)
                waiter.called.set()


class _Waiter:
    __slots__ = ("bodies", "called", "caller", "size")

    def __init__(self, caller: str, size: int, bodies: float) -> None:
        self.bodies = bodies
        self.caller = caller
        self.size = size
        self.called: Final = trio.Event()


class BodyHold:
    """The room of one body, for all exchanges that need it: a shared call outlives its caller's.

    `concurrent` is how many requests the caller may have at once. One body more is read, so that a
    request too many is refused as such and need not wait for memory.
    """

    __slots__ = ("_bodies", "_caller", "_memory", "_rng", "_size", "_users")

    def __init__(
        self, memory: BodyMemory, caller: str, rng: Rng, concurrent: int | None = None
    ) -> None:
        self._bodies = math.inf if concurrent is None else concurrent + 1
        self._memory = memory
        self._caller = caller
        self._rng = rng
        self._size = 0
        self._users = 1

    def __repr__(self) -> str:
        return f"<BodyHold of {self._size} bytes for {self._caller}>"

    async def grow(self, size: int) -> None:
        """Have room for `size` bytes before they are read. Raises Overloaded."""
        more = size - self._size
        if more > 0:
            if not self._memory.take_nowait(self._caller, more, self._bodies):
                await self._memory.take(self._caller, more, self._rng, self._bodies)
            self._size += more

    def empty(self) -> None:
        """Give the room back and stay: the next message of a session has a size of its own."""
        if self._size:
            self._memory.give(self._caller, self._size)
            self._size = 0

    def shared(self) -> BodyHold:
        """Return this hold for one more exchange."""
        self._users += 1
        return self

    def release(self) -> None:
        """Give the room back with the last exchange that needs it; to be called once by each."""
        self._users -= 1
        if not self._users:
            self.empty()
