"""Processes that share limits, in virtual time."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence

import trio

from gateway.config.callers import Caller
from gateway.config.schema import LimitsConfig
from gateway.core.limits.ledger import Demand, Grant, LimitRefusal, Scope, ScopeLimits
from gateway.core.limits.shedding import OverloadPolicy
from gateway.lifecycle import Lifecycle
from gateway.proxy.admission import admit
from gateway.proxy.exchange import Exchange
from gateway.proxy.reservation import Reservations
from gateway.proxy.traffic.control import OF_GATEWAY, TrafficControl
from gateway.proxy.traffic.shared_slots import SharedSlots
from gateway.proxy.traffic.slots import Slots
from gateway.state.limits import MemoryLimits
from gateway.state.shared.limits import SharedLimits

from ..scripts import Step
from ..world import KEY, State, World

OWN = Scope("token:t", ScopeLimits(rpm=10_000))
PLACES = OF_GATEWAY
# Seconds of a question: half of it until the limits know of it.
ASKED = 0.01


class RemoteLimits(MemoryLimits):
    """Limits of several processes, in virtual time: what is asked takes a while, ends do not."""

    def __init__(self, delay: float = ASKED) -> None:
        super().__init__()
        self.delay = delay
        self.asked: list[tuple[str, ...]] = []
        self.ended: list[str] = []
        self.away = False

    async def admit(
        self, scopes: Sequence[Scope], demand: Demand, expires_in: float = math.inf
    ) -> Grant | LimitRefusal:
        self.asked.append(tuple(scope.key for scope in scopes))
        await trio.sleep(self.delay / 2)
        if self.away:
            raise ConnectionError("a fault")
        answer = await super().admit(scopes, demand, expires_in)
        try:
            await trio.sleep(self.delay / 2)
        except BaseException:
            # As `SharedLimits` do, of what may have been admitted.
            if isinstance(answer, Grant):
                self.give_back(answer)
            raise
        return answer

    async def release(self, grant: object) -> None:
        self.ended.append("release")
        await super().release(grant)

    async def settle(self, grant: object, tokens: int, cost: int) -> None:
        self.ended.append("settle")
        await super().settle(grant, tokens, cost)

    def give_back(self, grant: object) -> None:
        assert isinstance(grant, Grant)
        self.ended.append("give back")
        self.ledger.void(grant, self._clock(), self._epoch())

    def leases(self, key: str) -> int:
        """Return how many places are taken of the scope `key`."""
        return next((each.leases for each in self.ledger if each.scope.key == key), 0)


class Sharer:
    """One of those that share `limits`, with the places of all."""

    def __init__(
        self,
        limits: RemoteLimits | SharedLimits,
        most: int | None = 2,
        *,
        seed: int = 0,
        max_queue: int = 100,
        lifecycle: Lifecycle | None = None,
    ) -> None:
        self.limits = limits
        self.rng = random.Random(seed)
        self.traffic = TrafficControl(lifecycle or Lifecycle(), share=self._shared)
        self.configure(most, max_queue=max_queue)

    def configure(self, most: int | None, *, max_queue: int = 100) -> None:
        limits = LimitsConfig(max_concurrent=most, max_queue=max_queue, queue_timeout=5.0)
        self.traffic.configure(limits, OverloadPolicy(), {})

    def _shared(
        self, what: str, key: str, max_queue: int, timeout: float, reservations: Reservations
    ) -> Slots:
        return SharedSlots(
            what,
            max_queue,
            timeout,
            key=key,
            limits=self.limits,
            places=self.limits,
            reservations=reservations,
            rng=self.rng.random,
        )

    @property
    def everyone(self) -> SharedSlots:
        assert isinstance(self.traffic.everyone, SharedSlots)
        return self.traffic.everyone

    def check(self, *, empty: bool = False) -> None:
        """Hold what must hold at any time, and at the end."""
        for slots in self.traffic:
            assert isinstance(slots, SharedSlots)
            counts = (slots.held, slots._joint, slots._pending, slots._asking, slots.in_use)
            assert min(counts) >= 0
            assert slots._joint + len(slots._grants) <= slots.in_use
            if empty:
                assert (counts, slots.waiting, slots._grants) == ((0,) * 5, 0, [])

    def world(self, *plays: tuple[str, Sequence[Step]], own: Scope = OWN, **more: object) -> World:
        """Return a request of a caller with limits, by this process."""
        state = State()
        state.limits = self.limits  # type: ignore[assignment]
        who = Caller(
            name="t",
            digest=hashlib.sha256(KEY).digest(),
            models=frozenset(),
            beginnings=("",),
            scopes=(own,),
            limited=True,
        )
        world = World(plays, state=state, callers=[who], routes=["a"], **more)  # type: ignore[arg-type]
        world.traffic = self.traffic
        return world

    async def request(self, seconds: float, own: Scope = OWN) -> None:
        """Be let in, and be under way for so long. Raises GatewayError."""
        exchange = self.exchange(own)
        deadline = trio.current_time() + 10
        try:
            async with await admit(exchange, Demand(1), deadline):
                self.check()
                await trio.sleep(seconds)
        finally:
            if exchange.settlement.reservation is not None:
                await exchange.settlement.reservation.settle(1, 1)

    def exchange(self, own: Scope = OWN) -> Exchange:
        world = self.world(own=own)
        exchange = Exchange(
            world.services, world.snapshot, world.client, b"req_1", world.dialect, "192.0.2.1"
        )
        exchange.caller = next(iter(world.snapshot.callers.values()))
        return exchange


def ended(process: Sharer) -> None:
    process.check(empty=True)
    assert isinstance(process.limits, RemoteLimits)
    assert process.limits.ledger.held() == 0
