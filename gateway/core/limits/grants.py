"""What a request asks of the limits, and what they answer: a grant, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from .account import Account, LimitKind, Scope
from .bucket import BucketLevel
from .budget import BudgetLevel, Spending


class Demand(msgspec.Struct, frozen=True, gc=False):
    """What one request will take: tokens of prompt and answer, and nano-dollars.

    `cost` is the most that it can cost, if it is `bounded` by what the request says; otherwise an
    estimate, and a budget reserves at least what the dearest of the caller's last requests cost.
    """

    tokens: int = 0
    cost: int = 0
    bounded: bool = True


class LimitRefusal(msgspec.Struct, frozen=True):
    """Why a request may not go on: of all limits in its way, the one that is so for longest.

    `retry_after` is the seconds until the same request would be admitted if nothing else
    happened; None if it never would. `message` is for the caller.
    """

    scope: Scope
    kind: LimitKind
    retry_after: float | None
    message: str


class LimitStatus(msgspec.Struct, frozen=True):
    """What is left in one scope; None is a dimension that it does not limit."""

    requests: BucketLevel | None
    tokens: BucketLevel | None
    budget: BudgetLevel | None = None


# What a grant has taken from one account: seconds of both buckets, and where how much of its
# budget is reserved.
Charge: TypeAlias = tuple[Account, float, float, Spending | None, int]


class Grant:
    """One admitted request and its lease, to be settled or voided once. `expires` is a time."""

    __slots__ = ("charges", "demand", "expires", "leased")

    def __init__(
        self, demand: Demand, charges: Sequence[Charge], expires: float = math.inf
    ) -> None:
        self.demand = demand
        self.charges = charges
        self.expires = expires
        self.leased = True

    def __repr__(self) -> str:
        scopes = ", ".join(charge[0].scope.key for charge in self.charges)
        return f"<Grant of {self.demand} {f'by {scopes}' if scopes else 'that has ended'}>"
