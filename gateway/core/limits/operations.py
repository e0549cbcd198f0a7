"""What processes that share their limits say to the place where these are kept, and its answers.

Every operation that changes something carries the id of its grant, and done twice it is done once:
an answer that was lost, or came too late, leaves no doubt behind that matters.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import msgspec

from .account import Account, Scope
from .bucket import PERIOD, SLACK, BucketLevel
from .budget import BudgetLevel
from .ledger import Demand, LimitRefusal, LimitStatus


class StoreFailed(Exception):
    """Where limits are kept cannot be reached, is too slow, or refuses what it was asked.

    Says why.
    """


class ScopeLevel(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How full one scope is. `requests` and `tokens` are seconds until their buckets are full.

    `spent` and `reserved` are nano-dollars, `reset` seconds until the budget's window ends; None
    if it never does.
    """

    requests: float = 0.0
    tokens: float = 0.0
    spent: int = 0
    reserved: int = 0
    reset: float | None = None


class ScopeCharge(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a grant took of one scope: seconds of both buckets, nano-dollars of its budget."""

    requests: float = 0.0
    tokens: float = 0.0
    reserved: int = 0


class Admitted(msgspec.Struct, frozen=True, array_like=True):
    """What was taken from each scope of a request, and how full each is since then."""

    charges: list[ScopeCharge]
    levels: list[ScopeLevel]


class NotAdmitted(msgspec.Struct, frozen=True, array_like=True):
    """Which scope refuses a request, by its number, and how full each is."""

    refusal: LimitRefusal
    levels: list[ScopeLevel]


class GrantHolding(msgspec.Struct, frozen=True, array_like=True):
    """A grant as its holder knows it, good enough to put it back where it has been lost."""

    id: str
    scopes: tuple[Scope, ...]
    charges: tuple[ScopeCharge, ...]
    leased: bool


class GrantEnding(msgspec.Struct, frozen=True, array_like=True):
    """How a grant ended: as settled, with what was used, or as void; or only its lease did."""

    grant: GrantHolding
    how: Literal["release", "settle", "void"]
    tokens: int = 0
    cost: int = 0


class CarriedUse(msgspec.Struct, frozen=True, array_like=True):
    """What one process let through of a scope by itself, while the others could not be asked.

    `before` is how full the scope would be by now without any of it, and `requests` and `tokens`
    are the seconds to add to that. `spent` is in nano-dollars, of the budget's window around
    `epoch`.
    """

    scope: Scope
    before: ScopeLevel
    requests: float
    tokens: float
    spent: int
    epoch: float


class SpendingOnRecord(msgspec.Struct, frozen=True, array_like=True):
    """What is on record as spent in the budget's window around `epoch`.

    `excess` is how much more has been counted than is on record, and is to be taken back.
    """

    scope: Scope
    spent: int
    epoch: float
    excess: int = 0


class SpendingCounted(msgspec.Struct, frozen=True, array_like=True):
    """What is counted as spent after a look at the records, and what was before.

    `on_record` is what all databases have together, `databases` how many there are.
    """

    spent: int
    before: int
    on_record: int = 0
    databases: int = 1


class AdmitCall(msgspec.Struct, frozen=True, array_like=True, tag="admit"):
    """Reserve `demand` in all scopes or in none. Answered with `Admitted` or `NotAdmitted`."""

    id: str
    scopes: tuple[Scope, ...]
    demand: Demand
    seconds: float


class EndCall(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    """End grants. Answered with nothing."""

    endings: tuple[GrantEnding, ...]


class RenewCall(msgspec.Struct, frozen=True, array_like=True, tag="renew"):
    """Let grants be good for so many seconds more. Answered with nothing."""

    grants: tuple[GrantHolding, ...]
    seconds: float


class StatusCall(msgspec.Struct, frozen=True, array_like=True, tag="status"):
    """How full are these scopes? Answered with a list of `ScopeLevel`."""

    scopes: tuple[Scope, ...]


class CarryCall(msgspec.Struct, frozen=True, array_like=True, tag="carry"):
    """Take over what was let through without being asked. Answered with nothing."""

    id: str
    used: tuple[CarriedUse, ...]


class CorrectCall(msgspec.Struct, frozen=True, array_like=True, tag="correct"):
    """Compare with what is on record. Answered with a list of `SpendingCounted`.

    `database` is which one has the records: others may have records of the same scopes.
    """

    records: tuple[SpendingOnRecord, ...]
    database: str = ""


class BeatCall(msgspec.Struct, frozen=True, array_like=True, tag="beat"):
    """The process `name` is there, for so many seconds. Answered with how many there are.

    `unrecorded` says that what it spends is in no database.
    """

    name: str
    seconds: float
    unrecorded: bool = False


class AnnounceCall(msgspec.Struct, frozen=True, array_like=True, tag="announce"):
    """Tell `data` to all other processes that share the place. Answered with nothing."""

    data: bytes


LimitCall: TypeAlias = (
    AdmitCall | EndCall | RenewCall | StatusCall | CarryCall | CorrectCall | BeatCall | AnnounceCall
)


def status_of(scope: Scope, level: ScopeLevel | None, elapsed: float = 0.0) -> LimitStatus:
    """Return what is left in `scope`, which was as full as `level` says `elapsed` seconds ago.

    Of a scope of which nothing is known nothing has been used.
    """
    rpm, tpm, budget = scope.limits.rpm, scope.limits.tpm, scope.budget
    known = level or ScopeLevel()
    spending = None
    if budget is not None and level is not None:
        reset = level.reset
        if reset is None:
            spending = BudgetLevel(budget.nano, level.spent, level.reserved, None)
        elif reset > elapsed:
            spending = BudgetLevel(budget.nano, level.spent, level.reserved, reset - elapsed)
    return LimitStatus(
        None if rpm is None else _bucket(rpm, known.requests - elapsed),
        None if tpm is None else _bucket(tpm, known.tokens - elapsed),
        spending,
    )


def level_of(account: Account, now: float, epoch: float) -> ScopeLevel:
    """Return how full the scope of `account` is."""
    requests, tokens, spending = account.requests, account.tokens, account.spending
    spending = None if spending is None else spending.at(epoch)
    return ScopeLevel(
        0.0 if requests is None else max(0.0, requests.full_at - now),
        0.0 if tokens is None else max(0.0, tokens.full_at - now),
        0 if spending is None else spending.spent,
        0 if spending is None else spending.reserved,
        None if spending is None or spending.ends == math.inf else spending.ends - epoch,
    )


def _bucket(limit: int, reset: float) -> BucketLevel:
    if reset <= 0.0:
        return BucketLevel(limit, limit, 0.0)
    left = int((PERIOD - reset + SLACK) * limit / PERIOD)
    return BucketLevel(limit, min(limit, max(0, left)), reset)
