"""A ledger that several processes share, through whoever holds it.

It does what `state/redis/limits.lua` does, for processes of one host. Holders of grants are known:
when one is gone its leases end and its reserves are given back at once.
"""

from __future__ import annotations

import math
from typing import Final

from .account import Account
from .budget import bounds
from .grants import Demand, Grant
from .ledger import Ledger, LimitRefusal, Scope
from .ledger_state import GrantState, LedgerState, account_of, account_state
from .operations import (
    AdmitCall,
    Admitted,
    BeatCall,
    CarryCall,
    CorrectCall,
    EndCall,
    GrantEnding,
    GrantHolding,
    LimitCall,
    NotAdmitted,
    RenewCall,
    ScopeCharge,
    ScopeLevel,
    SpendingCounted,
    StatusCall,
    StoreFailed,
    level_of,
)

# Seconds for which it is known that a grant has ended, and between two corrections that lower a
# count: every process finds what is too much, and one lowers it.
ENDED: Final = 180.0
LOWERED: Final = 30.0


class SharedLedger:
    """`now` is seconds of a monotonic clock, `epoch` Unix seconds, `holder` who calls."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._grants: dict[str, tuple[Grant, object]] = {}
        # By when what has ended is forgotten, oldest first.
        self._ended: dict[str, float] = {}
        self._lowered: dict[str, float] = {}
        self._processes: dict[str, float] = {}
        self._scopes: dict[str, Scope] = {}

    def __repr__(self) -> str:
        return f"<SharedLedger {self._ledger!r}>"

    def held(self) -> int:
        """Return how many leases are held in all."""
        return self._ledger.held()

    def call(self, call: LimitCall, holder: object, now: float, epoch: float) -> object:
        """Return what the call's type says. Raises StoreFailed."""
        match call:
            case AdmitCall():
                return self._admit(call, holder, now, epoch)
            case EndCall():
                for ending in call.endings:
                    self._end(ending, now, epoch)
            case RenewCall():
                for holding in call.grants:
                    self._renew(holding, now + call.seconds, holder, now, epoch)
            case StatusCall():
                return [self._level(scope, now, epoch) for scope in call.scopes]
            case CarryCall():
                self._carry(call, now, epoch)
            case CorrectCall():
                return self._correct(call, now, epoch)
            case BeatCall():
                return self._beat(call, now)
        return None

    def state(self, now: float) -> LedgerState:
        """Return what there is, for the program that follows this one."""
        return LedgerState(
            tuple(account_state(account, now) for account in self._ledger),
            tuple(
                GrantState(_holding(grant_id, grant), grant.expires - now)
                for grant_id, (grant, _) in self._grants.items()
            ),
            {name: until - now for name, until in self._ended.items()},
            {key: at - now for key, at in self._lowered.items()},
            {name: until - now for name, until in self._processes.items()},
        )

    def take_over(self, state: LedgerState, then: float, epoch: float) -> None:
        """Go on with `state`, which was written down at `then`. Holders of grants are not known
        before they renew them.
        """
        for each in state.accounts:
            self._known(each.scope)
            self._ledger.put(account_of(each, then, epoch))
        for under_way in state.grants:
            grant = self._made(under_way.holding, then, epoch, reserves=True)
            grant.expires = then + under_way.seconds
            self._ledger.hold(grant)
            self._grants[under_way.holding.id] = grant, None
        self._ended = {name: then + seconds for name, seconds in state.ended.items()}
        self._lowered = {key: then + seconds for key, seconds in state.lowered.items()}
        self._processes = {name: then + seconds for name, seconds in state.processes.items()}

    def gone(self, holder: object) -> None:
        """Take back what a holder has that will never end it."""
        for grant_id, (grant, held_by) in [*self._grants.items()]:
            if held_by is holder:
                del self._grants[grant_id]
                self._ledger.forfeit(grant)

    def _admit(
        self, call: AdmitCall, holder: object, now: float, epoch: float
    ) -> Admitted | NotAdmitted:
        if call.id in self._ended:
            raise StoreFailed("the grant has been given up")
        scopes = [*map(self._known, call.scopes)]
        known = self._grants.get(call.id)
        answer = (
            self._ledger.admit(scopes, call.demand, now, epoch, now + call.seconds)
            if known is None
            else known[0]
        )
        if isinstance(answer, LimitRefusal):
            return NotAdmitted(answer, [self._level(scope, now, epoch) for scope in scopes])
        self._grants[call.id] = answer, holder
        charges = [ScopeCharge(each[1], each[2], each[4]) for each in answer.charges]
        levels = [level_of(account, now, epoch) for account, *_ in answer.charges]
        return Admitted(charges, levels)

    def _end(self, ending: GrantEnding, now: float, epoch: float) -> None:
        holding = ending.grant
        if holding.id in self._ended:
            return
        grant = self._grants.get(holding.id, (None, None))[0]
        if ending.how == "release":
            if grant is not None:
                self._ledger.release(grant)
            return
        self._grants.pop(holding.id, None)
        self._ended[holding.id] = now + ENDED
        if ending.how == "void":
            # One that is not known was never admitted, or is so no more.
            if grant is not None:
                self._ledger.void(grant, now, epoch)
            return
        if grant is None:
            grant = self._made(holding, now, epoch, reserves=False)
            grant.leased = False
        self._ledger.settle(grant, ending.tokens, ending.cost, now, epoch)

    def _renew(
        self, holding: GrantHolding, expires: float, holder: object, now: float, epoch: float
    ) -> None:
        if holding.id in self._ended:
            return
        grant = self._grants.get(holding.id, (None, None))[0]
        if grant is None or (holding.leased and not grant.leased):
            # Of a holder that was taken for gone, or of a ledger before this one.
            grant = self._made(holding, now, epoch, reserves=True)
            grant.expires = expires
            self._ledger.hold(grant)
        else:
            self._ledger.renew(grant, expires)
        self._grants[holding.id] = grant, holder

    def _made(self, holding: GrantHolding, now: float, epoch: float, *, reserves: bool) -> Grant:
        """Return the grant that a holder speaks of; its buckets were charged when it was given."""
        charges = []
        for scope, charge in zip(holding.scopes, holding.charges, strict=False):
            account = self._account(scope, now, epoch)
            spending = account.spending if reserves else None
            reserved = 0 if spending is None else charge.reserved
            charges.append((account, charge.requests, charge.tokens, spending, reserved))
        grant = Grant(Demand(), charges)
        grant.leased = holding.leased
        return grant

    def _carry(self, call: CarryCall, now: float, epoch: float) -> None:
        if call.id in self._ended:
            return
        self._ended[call.id] = now + ENDED
        for used in call.used:
            fresh = used.scope.key not in self._scopes
            account = self._account(used.scope, now, epoch)
            for bucket, before, more in (
                (account.requests, used.before.requests, used.requests),
                (account.tokens, used.before.tokens, used.tokens),
            ):
                if bucket is not None:
                    start = now + before if fresh else bucket.full_at
                    bucket.full_at = max(now, start) + more
            spending = account.spending
            if spending is not None and spending.starts <= used.epoch < spending.ends:
                spending.spend(used.spent)

    def _correct(self, call: CorrectCall, now: float, epoch: float) -> list[SpendingCounted]:
        found = []
        for record in call.records:
            key, account = record.scope.key, self._account(record.scope, now, epoch)
            spending = account.spending
            if spending is None:
                found.append(SpendingCounted(0, 0, record.spent))
                continue
            spending = account.spending = spending.at(epoch)
            before = spending.spent
            if bounds(spending.budget.window, record.epoch) == (spending.starts, spending.ends):
                if record.spent > before:
                    spending.spent = record.spent
                elif record.excess and now - self._lowered.get(key, -math.inf) > LOWERED:
                    self._lowered[key] = now
                    spending.spent = max(0, before - record.excess)
            # Workers of one host have one database.
            found.append(SpendingCounted(spending.spent, before, record.spent))
        return found

    def _beat(self, call: BeatCall, now: float) -> int:
        self._processes[call.name] = now + call.seconds
        self._processes = {name: until for name, until in self._processes.items() if until > now}
        self._forget(now)
        return len(self._processes)

    def _forget(self, now: float) -> None:
        """Forget what nobody will ask for any more."""
        while self._ended:
            oldest = next(iter(self._ended))
            if self._ended[oldest] > now:
                break
            del self._ended[oldest]
        late = [name for name, (grant, _) in self._grants.items() if grant.expires < now - ENDED]
        for grant_id in late:
            self._ledger.forfeit(self._grants.pop(grant_id)[0])

    def _level(self, scope: Scope, now: float, epoch: float) -> ScopeLevel:
        # By its key: an administrator may ask for its budget alone, which must change nothing.
        known = self._scopes.get(scope.key)
        return ScopeLevel() if known is None else level_of(
            self._ledger.account(known, now, epoch), now, epoch
        )  # fmt: skip

    def _account(self, scope: Scope, now: float, epoch: float) -> Account:
        return self._ledger.account(self._known(scope), now, epoch)

    def _known(self, scope: Scope) -> Scope:
        """Return one and the same object for equal scopes, which come over a wire."""
        known = self._scopes.get(scope.key)
        if known != scope or known is None:
            known = self._scopes[scope.key] = scope
        return known


def _holding(grant_id: str, grant: Grant) -> GrantHolding:
    charges = tuple(
        # What was reserved in a window that is over is gone with it.
        ScopeCharge(requests, tokens, reserved if spending is account.spending else 0)
        for account, requests, tokens, spending, reserved in grant.charges
    )
    scopes = tuple(account.scope for account, *_ in grant.charges)
    return GrantHolding(grant_id, scopes, charges, grant.leased)
