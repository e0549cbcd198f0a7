"""What one process lets through by itself while the limits' store is out of reach: its share.

The share of a limit is the limit divided by the number of processes, and at least one. It begins as
full as the limit was known to be, so that an outage brings no burst, and what was let through is
told to the store when it is back, so that its end brings none either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ...core.limits.account import Account, Scope, ScopeLimits
from ...core.limits.bucket import PERIOD
from ...core.limits.budget import NANO_PER_USD, Budget
from ...core.limits.ledger import Demand, Grant, Ledger, LimitRefusal, LimitStatus
from ...core.limits.operations import (
    CarriedUse,
    GrantHolding,
    ScopeLevel,
    level_of,
    status_of,
)
from ...core.limits.refusals import message_of


class KnownLevel(NamedTuple):
    """How full a scope was at a time of this process's clock."""

    level: ScopeLevel
    at: float

    def now(self, now: float) -> ScopeLevel:
        """Return how full it is by now if nothing was taken since."""
        level, elapsed = self.level, now - self.at
        over = level.reset is not None and level.reset <= elapsed
        return ScopeLevel(
            max(0.0, level.requests - elapsed),
            max(0.0, level.tokens - elapsed),
            0 if over else level.spent,
            0 if over else level.reserved,
            None if over or level.reset is None else level.reset - elapsed,
        )


class _Share(NamedTuple):
    scope: Scope
    part: Scope


class LocalShare:
    """Of limits that `processes` share. `known` is how full scopes are, as far as is known."""

    def __init__(
        self,
        processes: int,
        known: Mapping[str, KnownLevel],
        clock: Callable[[], float],
        epoch: Callable[[], float],
    ) -> None:
        self.processes = processes
        self.decisions = 0
        self._known = known
        self._clock = clock
        self._epoch = epoch
        self._ledger = Ledger()
        self._shares: dict[str, _Share] = {}
        # How full each scope was when all that had been taken of it was known to the store.
        self._before: dict[str, KnownLevel] = {}
        # Nano-dollars that the store does not know of.
        self._owed: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<LocalShare of 1/{self.processes}, {self._ledger!r}>"

    def admit(self, scopes: tuple[Scope, ...], demand: Demand) -> Grant | LimitRefusal:
        """Decide by this process's share."""
        now, epoch = self._clock(), self._epoch()
        self.decisions += 1
        parts = [self._open(scope, now, epoch).scope for scope in scopes]
        answer = self._ledger.admit(parts, demand, now, epoch)
        if isinstance(answer, Grant):
            return answer
        scope = self._shares[answer.scope.key].scope
        wait = math.inf if answer.retry_after is None else answer.retry_after
        spending = self._open(scope, now, epoch).spending
        used_up = spending is not None and spending.spent >= spending.limit
        # The caller is told its limit, and not our part of it.
        message = message_of(scope, answer.kind, demand.tokens, wait, used_up=used_up)
        return LimitRefusal(scope, answer.kind, answer.retry_after, message)

    def hold(self, holding: GrantHolding, demand: Demand) -> Grant:
        """Count a grant that the store has given, and that is still under way."""
        now, epoch = self._clock(), self._epoch()
        charges = []
        for scope, charge in zip(holding.scopes, holding.charges, strict=True):
            account = self._open(scope, now, epoch)
            charges.append((account, 0.0, 0.0, account.spending, charge.reserved))
        grant = Grant(demand, charges)
        grant.leased = holding.leased
        self._ledger.hold(grant)
        return grant

    def release(self, grant: Grant) -> None:
        self._ledger.release(grant)

    def settle(self, grant: Grant, tokens: int, cost: int) -> None:
        """Charge what was used by a grant of this share."""
        for account, *_ in grant.charges:
            if account.spending is not None:
                key = account.scope.key
                self._owed[key] = self._owed.get(key, 0) + cost
        self._ledger.settle(grant, tokens, cost, self._clock(), self._epoch())

    def void(self, grant: Grant) -> None:
        self._ledger.void(grant, self._clock(), self._epoch())

    def spent_elsewhere(self, grant: Grant, cost: int) -> None:
        """End a grant of the store, which will be told of its `cost`."""
        accounts = [account for account, *_ in grant.charges]
        self._ledger.forfeit(grant)
        grant.charges = ()
        for account in accounts:
            if account.spending is not None:
                account.spending.spend(cost)

    def recall(self, scope: Scope, spent: int, epoch: float) -> None:
        """Take note of what all processes have spent, as is on record."""
        self._shares.pop(scope.key, None)
        if scope.key in self._before:
            # The part is made anew, of what is left of the budget now.
            part = self._open(scope, self._clock(), self._epoch()).scope
            self._ledger.recall(part, spent, epoch)

    def status(self, scope: Scope) -> LimitStatus:
        """Return what is left, as if all processes had let through as much as this one."""
        now, epoch = self._clock(), self._epoch()
        share = self._shares.get(scope.key)
        if share is None:
            # Perhaps asked for a part of its limits only: nothing may be opened by that.
            known = self._known.get(scope.key)
            return status_of(scope, None if known is None else known.now(now))
        return status_of(scope, level_of(self._ledger.account(share.part, now, epoch), now, epoch))

    def taken(self) -> list[CarriedUse]:
        """Return what the store is to be told of, and count from here on anew."""
        now, epoch = self._clock(), self._epoch()
        found = []
        owed, self._owed = self._owed, {}
        for account in self._ledger:
            key = account.scope.key
            level, before = level_of(account, now, epoch), self._before[key].now(now)
            requests = max(0.0, level.requests - before.requests) / self.processes
            tokens = max(0.0, level.tokens - before.tokens) / self.processes
            spent = owed.get(key, 0)
            self._before[key] = KnownLevel(level, now)
            if requests or tokens or spent:
                scope = self._shares[key].scope if key in self._shares else account.scope
                found.append(CarriedUse(scope, before, requests, tokens, spent, epoch))
        return found

    def _open(self, scope: Scope, now: float, epoch: float) -> Account:
        """Return the account of this process's part of `scope`, which begins as full as it was."""
        key = scope.key
        share = self._shares.get(key)
        if share is None or share.scope is not scope:
            share = self._shares[key] = _Share(scope, self._part(scope, now))
        account = self._ledger.account(share.part, now, epoch)
        if key not in self._before:
            known = self._known.get(key)
            level = ScopeLevel() if known is None else known.now(now)
            self._before[key] = KnownLevel(level, now)
            if account.requests is not None:
                account.requests.full_at = now + level.requests
            if account.tokens is not None:
                account.tokens.full_at = now + level.tokens
            if account.spending is not None:
                account.spending.spent = level.spent
        return account

    def _part(self, scope: Scope, now: float) -> Scope:
        limits, budget, processes = scope.limits, scope.budget, self.processes
        if budget is not None:
            known = self._known.get(scope.key)
            spent = 0 if known is None else known.now(now).spent
            left = max(0, budget.nano - spent)
            part = min(budget.nano, spent + -(-left // processes))
            budget = Budget(usd=max(1, part) / NANO_PER_USD, window=budget.window)
        return Scope(
            scope.key,
            ScopeLimits(
                _part_of(limits.rpm, processes),
                _part_of(limits.tpm, processes),
                _part_of(limits.max_concurrent, processes),
            ),
            budget,
        )


def token_charge(scope: Scope, tokens: int) -> float:
    """Return what so many tokens take of the bucket of `scope`, in seconds."""
    tpm = scope.limits.tpm
    return 0.0 if tpm is None else tokens * PERIOD / tpm


def request_charge(scope: Scope) -> float:
    """Return what a request takes of the bucket of `scope`, in seconds."""
    rpm = scope.limits.rpm
    return 0.0 if rpm is None else PERIOD / rpm


def _part_of(limit: int | None, processes: int) -> int | None:
    return None if limit is None else max(1, limit // processes)
