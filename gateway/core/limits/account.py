"""What one scope may use and has used."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from .bucket import TokenBucket
from .budget import Budget, Spending, begin

# There is no telling when one of several answers will have ended. Waiting helps: this is a guess.
CONCURRENT_WAIT: Final = 1.0  # seconds

_Count = Annotated[int, Meta(ge=1)]


class ScopeLimits(msgspec.Struct, frozen=True, gc=False):
    """Requests and tokens per minute, requests at once. None is no limit."""

    rpm: _Count | None = None
    tpm: _Count | None = None
    max_concurrent: _Count | None = None


class Scope(msgspec.Struct, frozen=True, gc=False):
    """What a limit counts for. `key` is its account: "token:NAME", "global", "provider:NAME"."""

    key: str
    limits: ScopeLimits
    budget: Budget | None = None


class LimitKind(enum.Enum):
    """Which limit was reached."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENT = "concurrent"
    BUDGET = "budget"


class Account(msgspec.Struct, gc=False):
    """What one scope has used. Small: there is one for each of perhaps 10^5 tokens."""

    scope: Scope
    requests: TokenBucket | None
    tokens: TokenBucket | None
    spending: Spending | None
    # Counted where nothing limits them too: a reload may bring a limit, and what is in flight
    # then counts.
    leases: int = 0

    def follow(self, scope: Scope, now: float, epoch: float) -> None:
        """Take over the limits of `scope`, of another snapshot, and keep what has been used."""
        self.requests = _resized(self.requests, scope.limits.rpm, now)
        self.tokens = _resized(self.tokens, scope.limits.tpm, now)
        budget = scope.budget
        if budget is None:
            self.spending = None
        elif self.spending is None:
            self.spending = begin(budget, epoch)
        else:
            self.spending = self.spending.under(budget, epoch)
        self.scope = scope

    def admits(self, tokens: int, now: float, epoch: float) -> bool:
        """Say whether no limit is in the way."""
        bucket = self.requests
        if bucket is not None and not bucket.admits(1, now):
            return False
        bucket = self.tokens
        if bucket is not None and not bucket.admits(tokens, now):
            return False
        most = self.scope.limits.max_concurrent
        if most is not None and self.leases >= most:
            return False
        spending = self.spending
        if spending is None:
            return True
        if not spending.starts <= epoch < spending.ends:
            spending = self.spending = spending.at(epoch)
        return not spending.exhausted

    def obstacles(
        self, tokens: int, now: float, epoch: float
    ) -> Iterator[tuple[float, LimitKind, bool]]:
        """Yield each limit that is in the way: seconds until it is not, and which it is.

        The last says of a budget that it is used up, and not only reserved.
        """
        bucket = self.requests
        if bucket is not None and not bucket.admits(1, now):
            yield bucket.wait(1, now), LimitKind.REQUESTS, False
        bucket = self.tokens
        if bucket is not None and not bucket.admits(tokens, now):
            yield bucket.wait(tokens, now), LimitKind.TOKENS, False
        most = self.scope.limits.max_concurrent
        if most is not None and self.leases >= most:
            yield CONCURRENT_WAIT, LimitKind.CONCURRENT, False
        spending = self.spending
        if spending is not None and (spending := spending.at(epoch)).exhausted:
            used_up = spending.spent >= spending.limit
            yield spending.ends - epoch if used_up else CONCURRENT_WAIT, LimitKind.BUDGET, used_up


def open_account(scope: Scope, epoch: float) -> Account:
    """Return the account of a scope that has used nothing."""
    limits, budget = scope.limits, scope.budget
    return Account(
        scope,
        None if limits.rpm is None else TokenBucket(limits.rpm),
        None if limits.tpm is None else TokenBucket(limits.tpm),
        None if budget is None else begin(budget, epoch),
    )


def _resized(bucket: TokenBucket | None, limit: int | None, now: float) -> TokenBucket | None:
    if bucket is None or limit is None:
        return None if limit is None else TokenBucket(limit)
    bucket.resize(limit, now)
    return bucket
