"""The accounts of all scopes: what each has used, and whether a request is admitted.

A scope is what has limits of its own: a token, a provider, all callers together. Its account is
opened by the first request that names it. A request is admitted to all of its scopes or to none:
every limit is checked before anything is written, so that a refusal has nothing to take back.

    admit ──> LimitRefusal               nothing has happened
      └─────> Grant ──> settle           what was used takes the place of the reserve
                   └──> void             as if it had never been, for what is refused later on

The grant is the lease as well: it counts against `max_concurrent` until it is released, settled,
voided or expired. Settling and voiding end a grant: every later call with it does nothing.

A grant may have a time at which it expires unless it is renewed, for a holder that died. It then
stops counting against `max_concurrent`, and the money that it reserved is given back. The requests
and tokens that it took stay charged, since the buckets are full again within minutes anyway.
Nothing happens at the time itself: the next admission that would be refused drops all grants that
have expired.
One that is settled late, after all, is charged what was used.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from .account import Account, LimitKind, Scope, ScopeLimits, open_account
from .bucket import BucketLevel
from .budget import begin
from .grants import Charge, Demand, Grant, LimitRefusal, LimitStatus
from .refusals import message_of

__all__ = [
    "Demand",
    "Grant",
    "Ledger",
    "LimitKind",
    "LimitRefusal",
    "LimitStatus",
    "Scope",
    "ScopeLimits",
]


class Ledger:
    """The accounts of all scopes, by `Scope.key`. As many as the configuration has scopes."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        # The leased grants that can expire, and a time before which none of them does. The time
        # is not moved on when a grant ends: then one look at the set too many moves it.
        self._expiring: set[Grant] = set()
        self._next_expiry = math.inf

    def __repr__(self) -> str:
        return f"<Ledger of {len(self._accounts)} accounts, {self.held()} held>"

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def admit(
        self,
        scopes: Sequence[Scope],
        demand: Demand,
        now: float,
        epoch: float,
        expires: float = math.inf,
    ) -> Grant | LimitRefusal:
        """Reserve `demand` in all of `scopes`, or say why not and reserve nothing.

        The grant `expires` at that time of the clock that `now` is of.
        """
        accounts = []
        refused = False
        tokens = demand.tokens
        for scope in scopes:
            account = self._accounts.get(scope.key)
            if account is None:
                account = self._accounts[scope.key] = open_account(scope, epoch)
            elif account.scope is not scope:
                account.follow(scope, now, epoch)
            accounts.append(account)
            refused = not account.admits(tokens, now, epoch) or refused
        if refused and self._drop_expired(now):
            refused = not all(account.admits(tokens, now, epoch) for account in accounts)
        if refused:
            return _refusal(accounts, tokens, now, epoch)
        charges: list[Charge] = []
        for account in accounts:
            account.leases += 1
            requests, bucket, spending = account.requests, account.tokens, account.spending
            request_charge = 0.0 if requests is None else requests.take(1, now)
            token_charge = 0.0 if bucket is None else bucket.take(tokens, now)
            reserved = 0
            if spending is not None:
                reserved = demand.cost if demand.bounded else max(demand.cost, spending.usual)
                spending.reserved += reserved
            charges.append((account, request_charge, token_charge, spending, reserved))
        grant = Grant(demand, charges, expires)
        if expires != math.inf:
            self._expiring.add(grant)
            self._next_expiry = min(self._next_expiry, expires)
        return grant

    def account(self, scope: Scope, now: float, epoch: float) -> Account:
        """Return the account of `scope`, from now on with its limits."""
        account = self._accounts.get(scope.key)
        if account is None:
            account = self._accounts[scope.key] = open_account(scope, epoch)
        elif account.scope is not scope:
            account.follow(scope, now, epoch)
        return account

    def put(self, account: Account) -> None:
        """Take up an account that was opened elsewhere."""
        self._accounts[account.scope.key] = account

    def hold(self, grant: Grant) -> None:
        """Take up a grant that was made elsewhere: count its lease and what it has reserved.

        Its buckets are not charged: what it took of them is known there.
        """
        for account, _, _, spending, reserved in grant.charges:
            account.leases += grant.leased
            if spending is not None:
                spending.reserved += reserved
        if grant.expires != math.inf:
            self._expiring.add(grant)
            self._next_expiry = min(self._next_expiry, grant.expires)

    def forfeit(self, grant: Grant) -> None:
        """End the lease of a `grant` whose holder is gone, and give back what it had reserved."""
        self._expiring.discard(grant)
        self.release(grant)
        for _, _, _, reserved_in, reserved in grant.charges:
            if reserved_in is not None:
                reserved_in.reserved -= reserved
        # Settled late, it has no reserve to give back a second time.
        grant.charges = [(*charge[:3], None, 0) for charge in grant.charges]

    def recall(self, scope: Scope, spent: int, epoch: float) -> None:
        """Take note that `spent` nano-dollars of the budget's window around `epoch` are on record.

        The account may have counted more, since the latest of it is not on record yet.
        """
        account = self._accounts.get(scope.key)
        if account is None:
            account = self._accounts[scope.key] = open_account(scope, epoch)
        if account.spending is None or account.spending.budget != scope.budget:
            # Of another configuration: the next request brings the one that holds.
            return
        if epoch >= account.spending.starts:
            spending = account.spending = account.spending.at(epoch)
            spending.spent = max(spending.spent, spent)

    def release(self, grant: Grant) -> None:
        """End the lease of `grant` before its use is known. Does nothing if it has ended."""
        if grant.leased:
            grant.leased = False
            for account, *_ in grant.charges:
                account.leases -= 1

    def renew(self, grant: Grant, expires: float) -> None:
        """Let `grant` expire at another time. Does nothing if it has ended, or expired."""
        if grant in self._expiring:
            grant.expires = expires
            self._next_expiry = min(self._next_expiry, expires)

    def postpone(self, seconds: float) -> None:
        """Let all grants expire `seconds` later."""
        for grant in self._expiring:
            grant.expires += seconds
        self._next_expiry += seconds

    def settle(self, grant: Grant, tokens: int, cost: int, now: float, epoch: float) -> None:
        """Put what was used in the place of what `grant` reserved, and end its lease.

        `cost` counts in the window of `epoch`, and by the budget that holds then. Does nothing
        if the grant has been settled or voided.
        """
        charges = self._end(grant)
        for account, _, token_charge, reserved_in, reserved in charges:
            if account.tokens is not None:
                account.tokens.settle(token_charge, tokens, now)
            if reserved_in is not None:
                reserved_in.reserved -= reserved
            spending = account.spending
            if spending is not None:
                spending = account.spending = spending.at(epoch)
                spending.spend(cost)

    def void(self, grant: Grant, now: float, epoch: float) -> None:
        """Give back all that `grant` took, the request included, and end its lease.

        Does nothing if the grant has been settled or voided.
        """
        charges = self._end(grant)
        for account, request_charge, token_charge, reserved_in, reserved in charges:
            if account.requests is not None:
                account.requests.settle(request_charge, 0, now)
            if account.tokens is not None:
                account.tokens.settle(token_charge, 0, now)
            if reserved_in is not None:
                reserved_in.reserved -= reserved

    def status(self, scope: Scope, now: float, epoch: float | None = None) -> LimitStatus:
        """Return what is left in `scope`, of its budget if there is an `epoch`; charges nothing."""
        account = self._accounts.get(scope.key)
        if account is None:
            rpm, tpm, budget = scope.limits.rpm, scope.limits.tpm, scope.budget
            return LimitStatus(
                None if rpm is None else BucketLevel(rpm, rpm, 0.0),
                None if tpm is None else BucketLevel(tpm, tpm, 0.0),
                None if epoch is None or budget is None else begin(budget, epoch).level(epoch),
            )
        requests, tokens, spending = account.requests, account.tokens, account.spending
        return LimitStatus(
            None if requests is None else requests.level(now),
            None if tokens is None else tokens.level(now),
            None if epoch is None or spending is None else spending.at(epoch).level(epoch),
        )

    def retain(self, keys: Collection[str]) -> None:
        """Forget the scopes that are not among `keys`, except those with a lease under way.

        They go with the first call after it has ended.
        """
        kept = frozenset(keys)
        for account in [*self]:
            if account.leases == 0 and account.scope.key not in kept:
                del self._accounts[account.scope.key]

    def held(self) -> int:
        """Return how many leases are held in all: each grant has one in each of its scopes."""
        return sum(account.leases for account in self)

    def _end(self, grant: Grant) -> Sequence[Charge]:
        """End the lease of `grant` and return what is still to be settled of it: once only."""
        self.release(grant)
        if grant.expires != math.inf:
            self._expiring.discard(grant)
        charges, grant.charges = grant.charges, ()
        return charges

    def _drop_expired(self, now: float) -> bool:
        """End the leases of grants that have expired and give their money back; say if any had."""
        if now < self._next_expiry:
            return False
        expired = [grant for grant in self._expiring if grant.expires <= now]
        for grant in expired:
            self.forfeit(grant)
        self._next_expiry = min((grant.expires for grant in self._expiring), default=math.inf)
        return bool(expired)


def _refusal(accounts: Sequence[Account], tokens: int, now: float, epoch: float) -> LimitRefusal:
    wait, kind, used_up, scope = max(
        (
            (*obstacle, account.scope)
            for account in accounts
            for obstacle in account.obstacles(tokens, now, epoch)
        ),
        key=lambda each: each[0],
    )
    message = message_of(scope, kind, tokens, wait, used_up=used_up)
    return LimitRefusal(scope, kind, None if wait == math.inf else wait, message)
