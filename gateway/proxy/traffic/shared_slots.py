"""Places that all processes share: one here, in the queue of this process, and then one among all.

A place among all is a lease of the limits that processes share, as a key's place is; it expires
with its process. One that is given back goes to whoever waits here or, every other time, to all:
else a process whose line never ends would keep the others waiting for ever. Of a line only the
head asks, again and again, since a place that another process gives back is told to nobody.

Where nobody waits, a place is asked for in one question with the other limits of its request
(`beside`). Its lease is a part of that grant, so that it always goes back to all.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, Protocol

import trio

from ...core.limits.account import Scope, ScopeLimits
from ...core.limits.ledger import Demand, LimitRefusal
from ...core.limits.shedding import come_back
from ...core.routing.backoff import Rng
from ...errors import ShuttingDown
from ..protocols import Limits, OpaqueGrant
from ..reservation import Reservation, Reservations
from .slots import JointSlot, Slots

# Seconds between two questions of a head. A question takes the store a tenth of a millisecond.
LOOK: Final = 0.02
# Of the places that are given back while others wait here, the part that is handed on.
_HANDED_ON: Final = 0.5
_NOTHING: Final = Demand()


class PlacesOfAll(Protocol):
    """Limits that processes share, as far as places go."""

    def give_back(self, grant: OpaqueGrant) -> None:
        """Take a grant back as if it had never been, without waiting for that."""
        ...


class _Waiter:
    """Who waits for a place among all; the first of them asks."""

    __slots__ = ("drained", "grant", "told")

    def __init__(self) -> None:
        self.told = trio.Event()
        self.grant: Reservation | None = None
        self.drained = False


class SharedSlots(Slots):
    """`limits` gives places among all, by the scope of that `key`; `reservations` keeps them."""

    def __init__(
        self,
        what: str,
        max_queue: int,
        timeout: float,
        *,
        key: str,
        limits: Limits,
        places: PlacesOfAll,
        reservations: Reservations,
        rng: Rng,
    ) -> None:
        super().__init__(what, None, max_queue, timeout)
        self._key = key
        self._limits = limits
        self._places = places
        self._reservations = reservations
        self._rng = rng
        self._scope: tuple[Scope, ...] = ()
        self._grants: list[Reservation] = []
        self._line: deque[_Waiter] = deque()
        # Requests that have a place here, and none among all yet.
        self._pending = 0
        # Of those that have both, the ones whose lease is in their own grant.
        self._joint = 0
        # Questions under way for more such.
        self._asking = 0

    @property
    def shared(self) -> bool:
        return True

    @property
    def limit(self) -> int | None:
        return None if self._most == math.inf else int(self._most)

    @limit.setter
    def limit(self, limit: int | None) -> None:
        if limit != self.limit or not self._scope:
            scope = Scope(self._key, ScopeLimits(max_concurrent=limit))
            self._scope = () if limit is None else (scope,)
        self._most = math.inf if limit is None else limit
        self._serve()

    @property
    def in_use(self) -> int:
        return self.held - self._pending

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self._line)

    def acquire_nowait(self) -> bool:
        """Take a slot without asking others, which can be where there is no limit."""
        if self._scope:
            return False
        self.held += 1
        return True

    def beside(self) -> JointSlot | None:
        if not self._scope or self._line or self._queue:
            return None
        if self.held + self._asking >= self._most:
            return None
        self._asking += 1
        return JointSlot(self, self._scope[0])

    def answered(self, *, granted: bool) -> None:
        # More than the limit may be held for a moment, with those that ask without success.
        self._asking -= 1
        self.held += granted
        self._joint += granted

    async def acquire_at_once(self) -> bool:
        if self.held >= self._most or self._line:
            return False
        self._take()
        granted = False
        try:
            granted = await self._ask()
        finally:
            if granted:
                self._pending -= 1
            else:
                self._hand_back()
        return granted

    async def acquire(self, caller: str, deadline: float, rng: Rng) -> None:
        until = min(deadline, trio.current_time() + self.timeout)
        await super().acquire(caller, until, rng)
        try:
            if self._line or not await self._ask():
                await self._wait(until, rng)
        except BaseException:
            self._hand_back()
            raise
        self._pending -= 1

    def release(self) -> None:
        # There are fewer leases than requests where some came in before there was a limit.
        while len(self._grants) >= max(1, self.in_use - self._joint):
            self._part_with(self._grants.pop())
        super().release()

    def release_joint(self) -> None:
        self._joint -= 1
        super().release()

    def _take(self) -> None:
        # As soon as it is called from the queue, before it runs: what others release at that very
        # moment is no place of its own.
        super()._take()
        self._pending += 1

    def _hand_back(self) -> None:
        self._pending -= 1
        super().release()

    def refuse_all(self) -> None:
        super().refuse_all()
        for waiter in self._line:
            waiter.drained = True
            waiter.told.set()

    async def _ask(self) -> bool:
        """Ask for a place among all, and say whether there is one."""
        scopes = self._scope
        if not scopes:
            return True
        granted = await self._limits.admit(scopes, _NOTHING, self._reservations.seconds)
        if isinstance(granted, LimitRefusal):
            return False
        self._grants.append(self._reservations.hold(self._limits, granted))
        return True

    async def _wait(self, until: float, rng: Rng) -> None:
        """Wait in line for a place among all. Raises Overloaded and ShuttingDown."""
        if self._draining or len(self._line) >= self.max_queue:
            raise self._too_much("queue_full", "too many are waiting", rng)
        waiter = _Waiter()
        self._line.append(waiter)
        try:
            while trio.current_time() < until:
                leads = self._line[0] is waiter
                if leads and await self._ask():
                    return
                with trio.move_on_at(min(until, trio.current_time() + LOOK) if leads else until):
                    await waiter.told.wait()
                waiter.told = trio.Event()
                if waiter.drained:
                    raise ShuttingDown("the gateway is shutting down", retry_after=come_back(rng))
                if waiter.grant is not None:
                    self._grants.append(waiter.grant)
                    waiter.grant = None
                    return
        finally:
            self._line.remove(waiter)
            if waiter.grant is not None:
                # Handed on to one that is cancelled, or whose time is over.
                self._part_with(waiter.grant)
            if self._line:
                self._line[0].told.set()
        raise self._too_much("queue_timeout", "none ended in time", rng)

    def _part_with(self, reservation: Reservation) -> None:
        if self._line and self._rng() < _HANDED_ON:
            head = self._line[0]
            if head.grant is None:
                head.grant = reservation
                head.told.set()
                return
        grant = reservation.taken()
        if grant is not None:
            self._places.give_back(grant)
