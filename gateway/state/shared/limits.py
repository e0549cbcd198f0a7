"""Rate limits, concurrency and budgets that several processes share.

A request waits once, for one question about all limits of its caller. How it ended is told later,
without anybody waiting. What callers are told of their limits is what the last answer said of them.

While the store of the limits cannot be asked, each process admits its share of them by itself. No
request fails for the store's sake, and none waits for one that is known to be away.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import count
from typing import Final

import trio

from ...core.limits.ledger import Demand, LimitRefusal, LimitStatus, Scope
from ...core.limits.operations import (
    AdmitCall,
    Admitted,
    AnnounceCall,
    CarryCall,
    GrantEnding,
    GrantHolding,
    NotAdmitted,
    ScopeCharge,
    StoreFailed,
    status_of,
)
from ...core.routing.backoff import Rng
from .endings import EndingQueue
from .exact import exactly
from .grant import SharedGrant, own_grant
from .link import StoreLink
from .records import SpendingCheck
from .share import KnownLevel, LocalShare, request_charge, token_charge
from .store import LimitStore

TIMEOUT: Final = 0.05
# Seconds for which a grant is good at most without being renewed: a store outlives its processes.
LONGEST: Final = 120.0
# Seconds for what is left to be told when the process ends.
_LAST: Final = 1.0


class SharedLimits:
    """Limits in `store`, of `processes` at least. `unrecorded`: what is spent is in no database."""

    waits = False

    def __init__(
        self,
        store: LimitStore,
        rng: Rng,
        *,
        processes: int = 1,
        timeout: float = TIMEOUT,
        unrecorded: bool = False,
        clock: Callable[[], float] = trio.current_time,
        epoch: Callable[[], float] = time.time,
    ) -> None:
        self.decided_alone = 0
        self._store = store
        self._clock = clock
        self._epoch = epoch
        # Random: ids of another process, or of this one before, are never taken for ours.
        self._name = secrets.token_hex(8)
        self._numbers = count()
        self.link = StoreLink(
            store,
            self._name,
            timeout,
            rng,
            processes=processes,
            reached=self._reached,
            lost=self._lost,
            unrecorded=unrecorded,
        )
        self._queue = EndingQueue(self.link)
        self._levels: dict[str, KnownLevel] = {}
        self._live: dict[str, SharedGrant] = {}
        self._share: LocalShare | None = None
        self.records: Final = SpendingCheck(self.link, self._levels, clock)

    def __repr__(self) -> str:
        return f"<SharedLimits, {self.link!r}, {len(self._live)} grants>"

    @property
    def name(self) -> str:
        """Return what this process is called among those that share the limits."""
        return self._name

    @property
    def store(self) -> LimitStore:
        """Return where they are kept."""
        return self._store

    @property
    def degraded(self) -> bool:
        """Say whether this process keeps to its share, since it cannot ask."""
        return not self.link.up

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep in touch with the store until cancelled. Started once that has been tried."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.link.run)
            nursery.start_soon(self._queue.run)
            task_status.started()

    def hear(self, heard: Callable[[bytes], None]) -> None:
        """Call `heard` with what is announced; it must neither wait nor fail."""
        self._store.hear = heard

    def announce(self, data: bytes) -> None:
        """Tell the others, in a moment. Lost while they cannot be reached."""
        self._queue.announce(AnnounceCall(data))

    async def finish(self) -> None:
        """Tell what is still to be told; for a process that ends, before `run` is cancelled."""
        with trio.move_on_after(_LAST, shield=True):
            try:
                if self.link.up:
                    await self._queue.send()
                    await self.link.leave()
            except StoreFailed:
                return

    # What requests call...

    async def admit(
        self, scopes: Sequence[Scope], demand: Demand, expires_in: float = math.inf
    ) -> SharedGrant | LimitRefusal:
        scopes, grant_id = tuple(scopes), f"{self._name}{next(self._numbers):x}"
        if self.link.up:
            call = AdmitCall(grant_id, scopes, demand, min(expires_in, LONGEST))
            try:
                answer = await self.link.ask(call)
            except BaseException as exc:
                # It may have been admitted all the same, or may be yet.
                self._queue.put(GrantEnding(GrantHolding(grant_id, scopes, (), True), "void"))
                if not isinstance(exc, StoreFailed):
                    raise
            else:
                return self._answered(grant_id, scopes, demand, answer)
            grant_id += "-"
        return self._admit_alone(grant_id, scopes, demand)

    async def release(self, grant: object) -> None:
        own = own_grant(grant)
        if own.holding.id in self._live and own.holding.leased:
            own.leave_lease()
            if own.local is not None:
                self._alone().release(own.local)
            if own.known:
                self._queue.put(GrantEnding(own.holding, "release"))

    async def settle(self, grant: object, tokens: int, cost: int) -> None:
        own = own_grant(grant)
        if self._live.pop(own.holding.id, None) is None:
            return
        if own.local is not None:
            if own.known:
                self._alone().spent_elsewhere(own.local, cost)
            else:
                self._alone().settle(own.local, tokens, cost)
                return
        self._queue.put(GrantEnding(own.holding, "settle", tokens, cost))

    async def void(self, grant: object) -> None:
        self.give_back(grant)

    def give_back(self, grant: object) -> None:
        """Do what `void` does, without being awaited: nothing of it waits."""
        own = own_grant(grant)
        if self._live.pop(own.holding.id, None) is None:
            return
        if own.local is not None:
            if own.known:
                self._alone().spent_elsewhere(own.local, 0)
            else:
                self._alone().void(own.local)
                return
        self._queue.put(GrantEnding(own.holding, "void"))

    async def renew(self, grants: Sequence[object], expires_in: float) -> None:
        if self.link.up:
            live = [each for each in map(own_grant, grants) if each.holding.id in self._live]
            self._queue.forget_renewals()
            self._queue.renew((each.holding for each in live), min(expires_in, LONGEST))

    async def status(self, scopes: Sequence[Scope], *, exact: bool = False) -> list[LimitStatus]:
        if self._share is not None or not self.link.up:
            return [*map(self._alone().status, scopes)]
        if exact and (found := await exactly(self.link, scopes)) is not None:
            return found
        now = self._clock()
        found = []
        for scope in scopes:
            known = self._levels.get(scope.key)
            elapsed = 0.0 if known is None else now - known.at
            found.append(status_of(scope, None if known is None else known.level, elapsed))
        return found

    async def recall(
        self, spent: Iterable[tuple[Scope, int]], epoch: float, *, lags: bool = False
    ) -> None:
        found = [*spent]
        if self.link.up:
            await self.records.compare(found, epoch, lags=lags)
        else:
            self.records.learn(found, self._clock())
            for scope, amount in found:
                self._alone().recall(scope, amount, epoch)

    async def retain(self, scopes: Collection[str]) -> None:
        kept = frozenset(scopes)
        for key in self._levels.keys() - kept:
            del self._levels[key]

    # What becomes of grants when the store comes and goes...

    def _answered(
        self, grant_id: str, scopes: tuple[Scope, ...], demand: Demand, answer: object
    ) -> SharedGrant | LimitRefusal:
        assert isinstance(answer, Admitted | NotAdmitted)
        now = self._clock()
        for scope, level in zip(scopes, answer.levels, strict=True):
            self._levels[scope.key] = KnownLevel(level, now)
        if isinstance(answer, NotAdmitted):
            return answer.refusal
        holding = GrantHolding(grant_id, scopes, tuple(answer.charges), leased=True)
        grant = self._live[grant_id] = SharedGrant(holding, demand, None)
        if self._share is not None:
            grant.local = self._share.hold(holding, demand)
        return grant

    def _admit_alone(
        self, grant_id: str, scopes: tuple[Scope, ...], demand: Demand
    ) -> SharedGrant | LimitRefusal:
        self.decided_alone += 1
        local = self._alone().admit(scopes, demand)
        if isinstance(local, LimitRefusal):
            self._late()
            return local
        charges = tuple(
            ScopeCharge(request_charge(scope), token_charge(scope, demand.tokens), reserved)
            for scope, (*_, reserved) in zip(scopes, local.charges, strict=True)
        )
        holding = GrantHolding(grant_id, scopes, charges, leased=True)
        grant = self._live[grant_id] = SharedGrant(holding, demand, local)
        self._late()
        return grant

    def _late(self) -> None:
        """Tell the store at once what was decided alone if it is there: one answer was late."""
        if self.link.up and self._share is not None:
            self._carry(self._share)
            self._queue.renew((e.holding for e in self._live.values() if not e.known), LONGEST)
            self._take_up()

    def _alone(self) -> LocalShare:
        if self._share is None:
            self._share = share = LocalShare(
                self.link.processes, self._levels, self._clock, self._epoch
            )
            for grant in self._live.values():
                grant.local = share.hold(grant.holding, grant.demand)
        return self._share

    def _lost(self) -> None:
        self._alone()

    async def _reached(self) -> None:
        """Tell the store what was let through without it, and go on with it."""
        share = self._share
        if share is not None:
            self._carry(share)
            await self._queue.send()
            # What has come in meanwhile, which is little.
            self._carry(share)
        self._queue.renew((each.holding for each in self._live.values()), LONGEST)
        self._take_up()

    def _take_up(self) -> None:
        """Go on with the store alone, which is told of all grants."""
        self._share = None
        for grant in self._live.values():
            grant.local, grant.known = None, True
        self._queue.resume()

    def _carry(self, share: LocalShare) -> None:
        if used := share.taken():
            self._queue.carry(CarryCall(f"{self._name}{next(self._numbers):x}", tuple(used)))
