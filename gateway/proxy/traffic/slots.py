"""How many requests may be under way at once, for a provider or for the whole gateway.

A slot is the right to be one of them. `acquire` and `acquire_nowait` get one, `release` gives it
back and awaits nothing, so that a cancelled holder can always call it: that is why no slot leaks.
A slot that is given back goes straight to the next request in the queue, and later ones cannot
take it. Hence no request waits while a slot is free, and a free slot can be taken without a look
at the queue.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from typing import Final

import trio

from ...core.limits.account import Scope
from ...core.limits.fair_queue import FairQueue, Waiter
from ...core.limits.ledger import Demand, LimitRefusal
from ...core.limits.shedding import come_back
from ...core.routing.backoff import Rng
from ...errors import Overloaded, ShuttingDown
from ..protocols import Limits, OpaqueGrant


class _Outcome(enum.Enum):
    WAITING = "waiting"
    GRANTED = "granted"
    DISPLACED = "displaced"
    DRAINED = "drained"


class _SlotWaiter(Waiter):
    __slots__ = ("called", "outcome")

    def __init__(self, caller: str, since: float, until: float) -> None:
        super().__init__(caller, since, until)
        self.called: Final = trio.Event()
        self.outcome = _Outcome.WAITING

    def call(self, outcome: _Outcome) -> None:
        self.outcome = outcome
        self.called.set()


class Slots:
    """At most `limit` slots (None: any number, counted all the same) and a queue for them.

    `what` names in messages what they are of: "provider openai", "the gateway". `timeout` is in
    seconds. A reload sets `limit`, `max_queue` and `timeout`: a higher limit serves what waits at
    once, a lower one lets what is under way finish. What waits already keeps its timeout and its
    place.
    """

    def __init__(self, what: str, limit: int | None, max_queue: int, timeout: float) -> None:
        self.what: Final = what
        self.max_queue = max_queue
        self.timeout = timeout
        self.held = 0
        self._most = math.inf if limit is None else limit
        self._queue: FairQueue[_SlotWaiter] = FairQueue()
        self._draining = False

    def __repr__(self) -> str:
        return f"<Slots of {self.what}: {self.held} of {self._most} held, {self.waiting} waiting>"

    @property
    def limit(self) -> int | None:
        return None if self._most == math.inf else int(self._most)

    @limit.setter
    def limit(self, limit: int | None) -> None:
        self._most = math.inf if limit is None else limit
        self._serve()

    @property
    def shared(self) -> bool:
        """Say whether the limit is one of all processes together."""
        return False

    @property
    def in_use(self) -> int:
        """Return how many requests are under way with a slot."""
        return self.held

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def oldest_wait(self) -> float:
        """Return for how many seconds the oldest waiter has been waiting; 0 if there is none."""
        since = self._queue.since
        return 0.0 if since is None else trio.current_time() - since

    def acquire_nowait(self) -> bool:
        """Take a slot if one is free."""
        if self.held < self._most:
            self.held += 1
            return True
        return False

    def beside(self) -> JointSlot | None:
        """Return a slot to be asked for at once, along with other limits, if one may be free.

        None also where the limit is this process's own, and there is nobody to ask.
        """
        return None

    def answered(self, *, granted: bool) -> None:
        """Take note of what the others said of a `JointSlot`: it is held from now on, or is not."""

    async def acquire_at_once(self) -> bool:
        """Take a slot if one is free, where `acquire_nowait` could not tell; wait for none."""
        return False

    async def acquire(self, caller: str, deadline: float, rng: Rng) -> None:
        """Take a slot; awaits nothing if one is free.

        `deadline` is when it is too late to start, in Trio's time. Raises `Overloaded` if the
        queue is full or the wait gets too long, and `ShuttingDown` if a drain ends the wait.
        """
        if self.held < self._most:
            self._take()
            return
        now = trio.current_time()
        waiter = _SlotWaiter(caller, now, min(deadline, now + self.timeout))
        if self._draining or waiter.until <= now or not self._has_room(caller, now):
            raise self._too_much("queue_full", "too many are waiting", rng)
        self._queue.add(waiter)
        with trio.move_on_at(waiter.until):
            try:
                await waiter.called.wait()
            except BaseException:
                # Other tasks run between a cancellation and this line, and one of them may have
                # handed its slot to this waiter, which will not use it.
                if waiter.outcome is _Outcome.GRANTED:
                    self._hand_back()
                else:
                    self._queue.discard(waiter)
                raise
            if waiter.outcome is _Outcome.DRAINED:
                raise ShuttingDown("the gateway is shutting down", retry_after=come_back(rng))
            if waiter.outcome is _Outcome.DISPLACED:
                raise self._too_much("queue_full", "too many are waiting", rng)
            return
        raise self._too_much("queue_timeout", "none ended in time", rng)

    def release(self) -> None:
        """Give a slot back; it goes to the next waiter."""
        self.held -= 1
        if self._queue:
            self._serve()

    def release_joint(self) -> None:
        """Give a `JointSlot` back."""
        self.release()

    def refuse_all(self) -> None:
        """Empty the queue and keep it so, for a drain. Free slots can still be taken."""
        self._draining = True
        for waiter in self._queue.clear():
            waiter.call(_Outcome.DRAINED)

    def _serve(self) -> None:
        while self._queue and self.held < self._most:
            waiter = self._queue.next(trio.current_time())
            if waiter is not None:
                self._take()
                waiter.call(_Outcome.GRANTED)

    def _take(self) -> None:
        """Count a slot as held, for `acquire`."""
        self.held += 1

    def _hand_back(self) -> None:
        """Give a slot back that `acquire` has not returned."""
        self.release()

    def _has_room(self, caller: str, now: float) -> bool:
        if len(self._queue) < self.max_queue:
            return True
        displaced = self._queue.make_room(caller, now)
        if displaced is not None:
            displaced.call(_Outcome.DISPLACED)
        return displaced is not None

    def _too_much(self, code: str, why: str, rng: Rng) -> Overloaded:
        message = f"{self.what} has too many requests at once, and {why}; try again in a moment"
        return Overloaded(message, code=code, retry_after=come_back(rng))


class SlotLease:
    """A slot that is held: gives it back exactly once, at the end of a `with` or before."""

    __slots__ = ("_slots",)

    def __init__(self, slots: Slots) -> None:
        self._slots: Slots | None = slots

    def __repr__(self) -> str:
        return f"<SlotLease {'given back' if self._slots is None else f'of {self._slots.what}'}>"

    def __enter__(self) -> SlotLease:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the slot back, unless that has been done."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release()


class JointSlot(SlotLease):
    """A slot whose lease among all processes is a part of its request's own grant.

    It is held once `ask` has been granted. While it is asked for it keeps nobody else waiting.
    """

    __slots__ = ("_scope",)

    def __init__(self, slots: Slots, scope: Scope) -> None:
        super().__init__(slots)
        self._scope = scope

    async def ask(
        self, limits: Limits, scopes: Iterable[Scope], demand: Demand, expires_in: float
    ) -> OpaqueGrant | LimitRefusal | None:
        """Ask for `scopes` and for this slot, once; None if a slot is what is missing.

        More may be missing then, so that `scopes` are to be asked for by themselves.
        """
        slots, self._slots = self._slots, None
        assert slots is not None
        answer: OpaqueGrant | LimitRefusal | None = None
        try:
            answer = await limits.admit((*scopes, self._scope), demand, expires_in)
        finally:
            granted = answer is not None and not isinstance(answer, LimitRefusal)
            slots.answered(granted=granted)
        if granted:
            self._slots = slots
        elif isinstance(answer, LimitRefusal) and answer.scope.key == self._scope.key:
            return None
        return answer

    def release(self) -> None:
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release_joint()
