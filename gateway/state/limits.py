"""Rate limits, concurrency and budgets in this process's memory.

`Limits` in `proxy/protocols.py` is the contract. Nothing here waits: an `await` of these methods
returns without a checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence

import trio

from ..core.limits.ledger import Demand, Grant, Ledger, LimitRefusal, LimitStatus, Scope


class MemoryLimits:
    """One process's limits. `clock` is monotonic and paces rates; `epoch` gives Unix time.

    Both return seconds. A shared store would use its own server's time instead, so that all
    processes agree on it.
    """

    waits = False

    def __init__(
        self,
        clock: Callable[[], float] = trio.current_time,
        epoch: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._epoch = epoch
        self.ledger = Ledger()

    def __repr__(self) -> str:
        return f"<MemoryLimits {self.ledger!r}>"

    async def admit(
        self, scopes: Sequence[Scope], demand: Demand, expires_in: float = math.inf
    ) -> Grant | LimitRefusal:
        now = self._clock()
        return self.ledger.admit(scopes, demand, now, self._epoch(), now + expires_in)

    async def release(self, grant: object) -> None:
        self.ledger.release(_own(grant))

    async def settle(self, grant: object, tokens: int, cost: int) -> None:
        self.ledger.settle(_own(grant), tokens, cost, self._clock(), self._epoch())

    async def void(self, grant: object) -> None:
        self.ledger.void(_own(grant), self._clock(), self._epoch())

    async def renew(self, grants: Sequence[object], expires_in: float) -> None:
        expires = self._clock() + expires_in
        for grant in grants:
            self.ledger.renew(_own(grant), expires)

    def move(self, seconds: float) -> None:
        """Let grants live on by the time in which nothing could renew them (`stops.py`)."""
        self.ledger.postpone(seconds)

    async def status(self, scopes: Sequence[Scope], *, exact: bool = False) -> list[LimitStatus]:
        now, epoch, status = self._clock(), self._epoch(), self.ledger.status
        return [status(scope, now, epoch) for scope in scopes]

    async def recall(
        self, spent: Iterable[tuple[Scope, int]], epoch: float, *, lags: bool = False
    ) -> None:
        for scope, amount in spent:
            self.ledger.recall(scope, amount, epoch)

    async def retain(self, scopes: Collection[str]) -> None:
        self.ledger.retain(scopes)


def _own(grant: object) -> Grant:
    assert isinstance(grant, Grant)
    return grant
