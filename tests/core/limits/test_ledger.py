from __future__ import annotations

import copy
import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.core.limits.account import open_account
from gateway.core.limits.bucket import BucketLevel
from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import (
    Demand,
    Grant,
    Ledger,
    LimitKind,
    LimitRefusal,
    LimitStatus,
    Scope,
    ScopeLimits,
)

from ...rounds import rounds

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
EPOCH = MIDNIGHT + 43_200
SHARED = Scope("global", ScopeLimits(rpm=600, tpm=60_000))


def token(
    rpm: int | None = None,
    tpm: int | None = None,
    max_concurrent: int | None = None,
    budget: Budget | None = None,
) -> Scope:
    return Scope("token:t", ScopeLimits(rpm, tpm, max_concurrent), budget)


def granted(found: Grant | LimitRefusal) -> Grant:
    assert isinstance(found, Grant), found
    return found


def refused(found: Grant | LimitRefusal) -> LimitRefusal:
    assert isinstance(found, LimitRefusal), found
    return found


def state(ledger: Ledger, epoch: float = EPOCH) -> dict[str, str]:
    """Return all that counts at `epoch`; an account of nothing is as good as none."""
    found = {}
    for account in ledger:
        spending = account.spending and account.spending.at(epoch)
        present = msgspec.structs.replace(account, spending=spending)
        if present != open_account(account.scope, epoch):
            found[account.scope.key] = repr(present)
    return found


def left(ledger: Ledger, scope: Scope, now: float = 0.0) -> tuple[int | None, int | None]:
    status = ledger.status(scope, now)
    levels = (status.requests, status.tokens)
    requests, tokens = (None if level is None else level.remaining for level in levels)
    return requests, tokens


def spent(ledger: Ledger, key: str = "token:t") -> tuple[int, int]:
    (spending,) = (account.spending for account in ledger if account.scope.key == key)
    assert spending is not None
    return spending.spent, spending.reserved


# What is asked of whom after one request for 40 tokens; which limit refuses, for how long.
DOLLAR = Budget(usd=1, window="day")
REFUSALS: list[tuple[Sequence[Scope], LimitKind, float | None]] = [
    ([token(rpm=1)], LimitKind.REQUESTS, 60.0),
    ([token(tpm=60)], LimitKind.TOKENS, 20.0),
    ([token(max_concurrent=1)], LimitKind.CONCURRENT, 1.0),
    # Reserved is not spent: it may be there again in a moment.
    ([token(budget=DOLLAR)], LimitKind.BUDGET, 1.0),
    ([token(budget=Budget(usd=1, window="total"))], LimitKind.BUDGET, 1.0),
    # The longest wait of all counts...
    ([token(rpm=2, tpm=60)], LimitKind.TOKENS, 20.0),
    ([token(rpm=1, tpm=60, max_concurrent=1)], LimitKind.REQUESTS, 60.0),
    ([token(rpm=1, budget=DOLLAR)], LimitKind.REQUESTS, 60.0),
    # ... and in whatever scope it is.
    ([SHARED, token(rpm=1)], LimitKind.REQUESTS, 60.0),
    ([token(rpm=1), SHARED], LimitKind.REQUESTS, 60.0),
    ([token(rpm=1), Scope("provider:p", ScopeLimits(tpm=60))], LimitKind.REQUESTS, 60.0),
    ([token(rpm=2), Scope("provider:p", ScopeLimits(tpm=60))], LimitKind.TOKENS, 20.0),
    ([SHARED, token(max_concurrent=1), Scope("p", ScopeLimits(rpm=1))], LimitKind.REQUESTS, 60.0),
]


@pytest.mark.parametrize(("scopes", "kind", "wait"), REFUSALS)
def test_a_refusal_says_why_and_charges_nothing(
    scopes: Sequence[Scope], kind: LimitKind, wait: float | None
) -> None:
    ledger = Ledger()
    granted(ledger.admit(scopes, Demand(40, 10**9), 0.0, EPOCH))
    before = state(ledger)
    for _ in range(3):
        refusal = refused(ledger.admit(scopes, Demand(40, 1), 0.0, EPOCH))
        assert (refusal.kind, refusal.retry_after) == (kind, wait)
        assert refusal.scope in scopes
        assert refusal.message
    assert state(ledger) == before
    assert ledger.held() == len(scopes)


def test_a_refusal_names_the_scope() -> None:
    ledger = Ledger()
    own, other = token(rpm=10), Scope("provider:p", ScopeLimits(rpm=1))
    granted(ledger.admit([own, other], Demand(), 0.0, EPOCH))
    assert refused(ledger.admit([own, other], Demand(), 0.0, EPOCH)).scope is other


def test_a_request_larger_than_the_bucket_is_never_told_to_wait() -> None:
    ledger = Ledger()
    scopes = [token(tpm=100), SHARED]
    refusal = refused(ledger.admit(scopes, Demand(101), 0.0, EPOCH))
    assert (refusal.kind, refusal.retry_after) == (LimitKind.TOKENS, None)
    assert (left(ledger, scopes[0]), left(ledger, SHARED)) == ((None, 100), (600, 60_000))


def test_settling_puts_the_true_usage_in_the_reserves_place() -> None:
    ledger = Ledger()
    scopes = [token(60, 6000, 1, DOLLAR), SHARED]
    for used, cost in [(100, 1_000), (1000, 0), (0, 5), (5000, 10**8)]:
        before = [left(ledger, scope) for scope in scopes]
        spent_before = spent(ledger)[0] if list(ledger) else 0
        grant = granted(ledger.admit(scopes, Demand(500, 10**8), 0.0, EPOCH))
        assert ledger.held() == 2
        assert spent(ledger) == (spent_before, 10**8)
        ledger.settle(grant, used, cost, 0.0, EPOCH)
        assert ledger.held() == 0
        assert spent(ledger) == (spent_before + cost, 0)
        for scope, (requests, tokens) in zip(scopes, before, strict=True):
            assert requests is not None
            assert tokens is not None
            assert left(ledger, scope) == (requests - 1, max(0, tokens - used))


def test_voiding_leaves_no_trace() -> None:
    ledger = Ledger()
    # A power of two times 60, where floats are exact.
    scopes = [token(60, 60 * 2**10, 2, DOLLAR), Scope("global", ScopeLimits(15, 60 * 2**12))]
    ledger.settle(granted(ledger.admit(scopes, Demand(99, 9), 0.0, EPOCH)), 99, 9, 0.0, EPOCH)
    before = state(ledger)
    ledger.void(granted(ledger.admit(scopes, Demand(500, 5), 0.0, EPOCH)), 0.0, EPOCH)
    assert state(ledger) == before


ENDS = ["settle", "void"]


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", ENDS)
def test_a_grant_ends_once(first: str, second: str) -> None:
    ledger = Ledger()
    scopes = [token(60, 6000, 2, DOLLAR), SHARED]
    granted(ledger.admit(scopes, Demand(7, 7), 0.0, EPOCH))
    grant = granted(ledger.admit(scopes, Demand(500, 5), 0.0, EPOCH))
    after = []
    for end in (first, second, second):
        if end == "settle":
            ledger.settle(grant, 50, 50, 1.0, EPOCH)
        else:
            ledger.void(grant, 1.0, EPOCH)
        after.append(state(ledger))
    assert after[0] == after[1] == after[2]
    assert ledger.held() == 2


@pytest.mark.parametrize("end", ENDS)
def test_a_lease_may_end_before_the_grant(end: str) -> None:
    ledger = Ledger()
    scopes = [token(60, 6000, 1, DOLLAR), SHARED]
    grant = granted(ledger.admit(scopes, Demand(500, 5), 0.0, EPOCH))
    charged = (left(ledger, scopes[0]), spent(ledger))
    for _ in range(2):
        ledger.release(grant)
        assert ledger.held() == 0
        assert (left(ledger, scopes[0]), spent(ledger)) == charged
    second = granted(ledger.admit(scopes, Demand(), 0.0, EPOCH))
    if end == "settle":
        ledger.settle(grant, 50, 3, 0.0, EPOCH)
        assert (left(ledger, scopes[0]), spent(ledger)) == ((58, 5950), (3, 0))
    else:
        ledger.void(grant, 0.0, EPOCH)
        assert (left(ledger, scopes[0]), spent(ledger)) == ((59, 6000), (0, 0))
    ledger.release(grant)
    assert ledger.held() == 2
    ledger.void(second, 0.0, EPOCH)
    assert ledger.held() == 0


def test_a_settle_after_midnight_is_charged_to_the_new_day() -> None:
    ledger = Ledger()
    scope = token(budget=DOLLAR)
    tomorrow = MIDNIGHT + 86_400
    late, later = (
        granted(ledger.admit([scope], Demand(0, 10**8), 0.0, tomorrow - 1)) for _ in range(2)
    )
    ledger.settle(late, 0, 3, 0.0, tomorrow - 0.5)
    assert spent(ledger) == (3, 10**8)
    new = granted(ledger.admit([scope], Demand(0, 70), 0.0, tomorrow))
    assert spent(ledger) == (0, 70)
    ledger.settle(later, 0, 40, 0.0, tomorrow + 1)
    assert spent(ledger) == (40, 70)
    ledger.void(new, 0.0, tomorrow + 1)
    assert spent(ledger) == (40, 0)


def test_a_void_after_midnight_takes_nothing_from_the_new_day() -> None:
    ledger = Ledger()
    scope = token(budget=DOLLAR)
    tomorrow = MIDNIGHT + 86_400
    late = granted(ledger.admit([scope], Demand(0, 50), 0.0, tomorrow - 1))
    granted(ledger.admit([scope], Demand(0, 70), 0.0, tomorrow))
    ledger.void(late, 0.0, tomorrow)
    assert spent(ledger) == (0, 70)


def test_a_spent_budget_refuses_until_its_window_ends_and_not_a_moment_longer() -> None:
    ledger = Ledger()
    scope = token(budget=Budget(usd=1, window="month"))
    epoch = datetime(2028, 2, 29, 23, 59, 0, tzinfo=UTC).timestamp()
    ledger.settle(granted(ledger.admit([scope], Demand(), 0.0, epoch)), 0, 10**9, 0.0, epoch)
    refusal = refused(ledger.admit([scope], Demand(), 0.0, epoch))
    assert (refusal.kind, refusal.retry_after) == (LimitKind.BUDGET, 60.0)
    refused(ledger.admit([scope], Demand(), 0.0, epoch + 59.999))
    granted(ledger.admit([scope], Demand(), 0.0, epoch + 60))


def test_what_a_reserve_holds_back_is_there_again_when_it_costs_less() -> None:
    ledger = Ledger()
    scope = token(budget=DOLLAR)
    grant = granted(ledger.admit([scope], Demand(0, 10**9), 0.0, EPOCH))
    refused(ledger.admit([scope], Demand(), 0.0, EPOCH))
    ledger.settle(grant, 0, 10**9 - 1, 0.0, EPOCH)
    granted(ledger.admit([scope], Demand(), 0.0, EPOCH))


def test_a_reserved_budget_says_so_and_a_spent_one_says_that() -> None:
    ledger = Ledger()
    scope = token(budget=DOLLAR)
    grant = granted(ledger.admit([scope], Demand(0, 10**9), 0.0, EPOCH))
    held = refused(ledger.admit([scope], Demand(), 0.0, EPOCH))
    assert held.message == (
        "what is left of your budget of 1 USD per day is reserved for your requests under way"
    )
    ledger.settle(grant, 0, 10**9, 0.0, EPOCH)
    spent_up = refused(ledger.admit([scope], Demand(), 0.0, EPOCH))
    assert spent_up.message == "you have used up your budget of 1 USD per day"
    assert spent_up.retry_after == 43_200.0


def test_only_what_fits_into_a_budget_is_let_in_at_once() -> None:
    ledger = Ledger()
    scope = token(budget=Budget(usd=0.02, window="day"))
    demand = Demand(0, 10**7)
    found = [ledger.admit([scope], demand, 0.0, EPOCH) for _ in range(20)]
    grants = [each for each in found if isinstance(each, Grant)]
    assert len(grants) == 2
    for grant in grants:
        ledger.settle(grant, 0, 10**7, 0.0, EPOCH)
    assert spent(ledger) == (2 * 10**7, 0)


def test_who_does_not_say_how_much_reserves_what_the_last_requests_cost() -> None:
    ledger = Ledger()
    scope = token(budget=DOLLAR)
    vague = Demand(0, 10**6, bounded=False)
    ledger.settle(granted(ledger.admit([scope], vague, 0.0, EPOCH)), 0, 10**8, 0.0, EPOCH)
    grants = [granted(ledger.admit([scope], vague, 0.0, EPOCH)) for _ in range(9)]
    assert spent(ledger) == (10**8, 9 * 10**8)
    refused(ledger.admit([scope], vague, 0.0, EPOCH))
    # Each of them gives back what it has reserved, however much the usual cost has changed.
    ledger.settle(grants.pop(), 0, 10**6, 0.0, EPOCH)
    ledger.void(grants.pop(), 0.0, EPOCH)
    assert spent(ledger) == (10**8 + 10**6, 7 * 10**8)
    exact = granted(ledger.admit([scope], Demand(0, 5), 0.0, EPOCH))
    assert spent(ledger) == (10**8 + 10**6, 7 * 10**8 + 5)
    for grant in (*grants, exact):
        ledger.settle(grant, 0, 0, 0.0, EPOCH)
    assert spent(ledger) == (10**8 + 10**6, 0)


def test_what_requests_usually_cost_is_forgotten_with_time_and_kept_over_midnight() -> None:
    ledger = Ledger()
    scope = token(budget=DOLLAR)
    for cost in (10**8, *[10**6] * 40):
        ledger.settle(granted(ledger.admit([scope], Demand(), 0.0, EPOCH)), 0, cost, 0.0, EPOCH)
    granted(ledger.admit([scope], Demand(0, 1, bounded=False), 0.0, EPOCH + 86_400))
    assert 10**6 <= spent(ledger)[1] < 10**7


def test_standing_charges_nothing_and_opens_no_account() -> None:
    ledger = Ledger()
    scope = token(60, 600)
    full = LimitStatus(BucketLevel(60, 60, 0.0), BucketLevel(600, 600, 0.0))
    assert ledger.status(scope, 0.0) == full
    assert ledger.status(token(), 0.0) == LimitStatus(None, None)
    assert list(ledger) == []
    granted(ledger.admit([scope], Demand(100), 0.0, EPOCH))
    for _ in range(2):
        expected = LimitStatus(BucketLevel(60, 59, 0.5), BucketLevel(600, 505, 9.5))
        assert ledger.status(scope, 0.5) == expected
    assert ledger.status(scope, 10.0) == full


def test_a_reload_keeps_leases_and_holds_them_against_a_new_limit() -> None:
    ledger = Ledger()
    held = [granted(ledger.admit([token()], Demand(), 0.0, EPOCH)) for _ in range(2)]
    refusal = refused(ledger.admit([token(max_concurrent=2)], Demand(), 0.0, EPOCH))
    assert refusal.kind is LimitKind.CONCURRENT
    ledger.settle(held[0], 0, 0, 0.0, EPOCH)
    granted(ledger.admit([token(max_concurrent=2)], Demand(), 0.0, EPOCH))


def test_limits_that_go_or_come_between_admission_and_settling() -> None:
    ledger = Ledger()
    full, bare = token(60, 600, 5, DOLLAR), token()
    before = granted(ledger.admit([full], Demand(100, 10), 0.0, EPOCH))
    between = granted(ledger.admit([bare], Demand(100, 10), 0.0, EPOCH))
    ledger.settle(before, 50, 5, 0.0, EPOCH)
    granted(ledger.admit([full], Demand(30, 3), 0.0, EPOCH))
    ledger.settle(between, 200, 20, 0.0, EPOCH)
    # What was used without a limit counts where there is one when it is known.
    assert left(ledger, full) == (59, 370)
    assert spent(ledger) == (20, 3)


def test_scopes_that_are_gone_are_forgotten_when_nothing_is_held() -> None:
    ledger = Ledger()
    gone = Scope("token:gone", ScopeLimits(rpm=2), DOLLAR)
    grant = granted(ledger.admit([gone, token(rpm=2), SHARED], Demand(), 0.0, EPOCH))
    keys = ["token:t", "global", "provider:new"]
    ledger.retain(keys)
    assert {account.scope.key for account in ledger} == {"token:gone", "token:t", "global"}
    ledger.settle(grant, 0, 10**9, 0.0, EPOCH)
    assert refused(ledger.admit([gone], Demand(), 0.0, EPOCH)).kind is LimitKind.BUDGET
    ledger.retain(keys)
    assert {account.scope.key for account in ledger} == {"token:t", "global"}
    assert left(ledger, token(rpm=2)) == (1, None)
    assert left(ledger, gone) == (2, None)


def test_no_scopes_no_limits() -> None:
    ledger = Ledger()
    grant = granted(ledger.admit([], Demand(10**9, 10**18), 0.0, EPOCH))
    ledger.settle(grant, 1, 1, 0.0, EPOCH)
    assert (list(ledger), ledger.held()) == ([], 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_many_requests_in_any_order_leave_nothing_held(seed: int) -> None:
    # 2^-20 of a second a request, 2^-30 a token: floats are exact, and so are the sums.
    rng = random.Random(seed)
    limits = ScopeLimits(60 * 2**20, 60 * 2**30, 10**6)
    scopes = [Scope(f"token:{n}", limits, Budget(usd=1e6)) for n in range(10)]
    shared = Scope("global", limits)
    ledger = Ledger()
    grants: list[tuple[Scope, Grant]] = []
    settled, used, cost = 0, 0, 0
    for _ in range(rounds(20_000, 100_000)):
        scope = rng.choice(scopes)
        demand = Demand(rng.randrange(10_000), rng.randrange(10**6))
        grants.append((scope, granted(ledger.admit([scope, shared], demand, 8.0, EPOCH))))
        if len(grants) > 1_000:
            place = rng.randrange(len(grants))
            grants[place], grants[-1] = grants[-1], grants[place]
        if len(grants) > 1_000 or rng.random() < 0.3:
            _, grant = grants.pop()
            if rng.random() < 0.5:
                ledger.void(grant, 8.0, EPOCH)
            else:
                true = rng.randrange(20_000)
                ledger.settle(grant, true, 2 * true, 8.0, EPOCH)
                settled, used, cost = settled + 1, used + true, cost + 2 * true
    assert ledger.held() == 2 * len(grants) > 0
    for _, grant in grants:
        ledger.void(grant, 8.0, EPOCH)
    assert ledger.held() == 0
    status = ledger.status(shared, 8.0)
    assert status.requests is not None
    assert status.tokens is not None
    # Not what remains: of buckets so large even the slack for rounding is one or two.
    assert (status.requests.reset, status.tokens.reset) == (settled / 2**20, used / 2**30)
    totals = [spent(ledger, scope.key) for scope in scopes]
    assert sum(total for total, _ in totals) == cost
    assert {reserved for _, reserved in totals} == {0}


class Model:
    """One scope, the plain way: levels as fractions, leases as a set, a sum for each day."""

    def __init__(self, scope: Scope) -> None:
        self.limits, self.budget = scope.limits, scope.budget
        self.left = {kind: Fraction(limit) for kind, limit in self.rates.items()}
        self.leases: dict[int, tuple[Demand, int]] = {}
        self.days: dict[int, int] = {}

    @property
    def rates(self) -> dict[LimitKind, int]:
        rates = {LimitKind.REQUESTS: self.limits.rpm, LimitKind.TOKENS: self.limits.tpm}
        return {kind: limit for kind, limit in rates.items() if limit is not None}

    def add(self, kind: LimitKind, amount: int | Fraction) -> None:
        if kind in self.rates:
            self.left[kind] = min(Fraction(self.rates[kind]), self.left[kind] + amount)

    def pass_time(self, seconds: Fraction) -> None:
        for kind, limit in self.rates.items():
            self.add(kind, seconds * limit / 60)

    def reserved(self, day: int) -> int:
        return sum(demand.cost for demand, of in self.leases.values() if of == day)

    def obstacles(self, demand: Demand, epoch: Fraction) -> dict[LimitKind, float | None]:
        found: dict[LimitKind, float | None] = {}
        for kind, limit in self.rates.items():
            amount = 1 if kind is LimitKind.REQUESTS else demand.tokens
            if amount > self.left[kind]:
                short = (amount - self.left[kind]) * 60 / limit
                found[kind] = None if amount > limit else float(short)
        most = self.limits.max_concurrent
        if most is not None and len(self.leases) >= most:
            found[LimitKind.CONCURRENT] = 1.0
        day = int(epoch // 86_400)
        if self.budget is not None:
            spent = self.days.get(day, 0)
            if spent >= self.budget.nano:
                found[LimitKind.BUDGET] = float((day + 1) * 86_400 - epoch)
            elif spent + self.reserved(day) >= self.budget.nano:
                found[LimitKind.BUDGET] = 1.0
        return found


SCOPES = [
    Scope(
        "token:a", ScopeLimits(rpm=15, tpm=480, max_concurrent=3), Budget(usd=1e-6, window="day")
    ),
    Scope("token:b", ScopeLimits(max_concurrent=4)),
    Scope("token:c", ScopeLimits(tpm=240)),
    Scope("global", ScopeLimits(rpm=30, tpm=960)),
]
PATHS = [[0, 3], [1, 3], [2, 3], [0], [3]]


class Admission(RuleBasedStateMachine):
    """The ledger against the plain models, in sixteenths of a second, where floats are exact."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.scopes = list(SCOPES)
        self.models = [Model(scope) for scope in SCOPES]
        self.now = Fraction(100)
        self.epoch = Fraction(int(EPOCH))
        self.grants: dict[int, tuple[Grant, list[int], Demand]] = {}
        self.ended: list[Grant] = []
        self.count = 0

    @rule(sixteenths=st.integers(0, 1000))
    def wait(self, sixteenths: int) -> None:
        self._pass(Fraction(sixteenths, 16))

    @rule()
    def wait_for_midnight(self) -> None:
        self._pass(86_400 - self.epoch % 86_400)

    @rule(
        path=st.sampled_from(PATHS),
        tokens=st.integers(0, 500),
        cost=st.sampled_from([0, 10, 400, 999, 1000]),
    )
    def admit(self, path: list[int], tokens: int, cost: int) -> None:
        demand = Demand(tokens, cost)
        expected = [self.models[n].obstacles(demand, self.epoch) for n in path]
        before = state(self.ledger, float(self.epoch))
        found = self._admit(path, demand, self.ledger)
        if isinstance(found, LimitRefusal):
            waits = [wait for each in expected for wait in each.values()]
            longest = None if None in waits else max(wait for wait in waits if wait is not None)
            assert found.retry_after == longest
            place = path[[self.scopes[n] for n in path].index(found.scope)]
            assert self.models[place].obstacles(demand, self.epoch)[found.kind] == longest
            assert state(self.ledger, float(self.epoch)) == before
            # A wait for requests under way is a guess.
            guessed = any(
                LimitKind.CONCURRENT in each or each.get(LimitKind.BUDGET) == 1.0
                for each in expected
            )
            if longest is not None and not guessed:
                self._come_back(path, demand, Fraction(longest))
            return
        assert not any(expected), expected
        self.count += 1
        self.grants[self.count] = (found, path, demand)
        for n in path:
            model = self.models[n]
            model.add(LimitKind.REQUESTS, -1)
            model.add(LimitKind.TOKENS, -tokens)
            model.leases[self.count] = (demand, int(self.epoch // 86_400))

    @precondition(lambda self: self.grants)
    @rule(data=st.data(), tokens=st.integers(0, 700), cost=st.integers(0, 600))
    def settle(self, data: st.DataObject, tokens: int, cost: int) -> None:
        grant, path, demand = self._end(data)
        self.ledger.settle(grant, tokens, cost, float(self.now), float(self.epoch))
        for n in path:
            self.models[n].add(LimitKind.TOKENS, demand.tokens - tokens)
            days = self.models[n].days
            day = int(self.epoch // 86_400)
            days[day] = days.get(day, 0) + cost

    @precondition(lambda self: self.grants)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        grant, path, demand = self._end(data)
        self.ledger.void(grant, float(self.now), float(self.epoch))
        for n in path:
            self.models[n].add(LimitKind.REQUESTS, 1)
            self.models[n].add(LimitKind.TOKENS, demand.tokens)

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def end_again(self, data: st.DataObject) -> None:
        grant = data.draw(st.sampled_from(self.ended))
        epoch = float(self.epoch)
        before = state(self.ledger, epoch)
        self.ledger.settle(grant, 400, 400, float(self.now), epoch)
        self.ledger.void(grant, float(self.now), epoch)
        assert state(self.ledger, epoch) == before

    @rule()
    def reload(self) -> None:
        self.scopes = [msgspec.structs.replace(scope) for scope in SCOPES]

    @rule(kept=st.sets(st.sampled_from([scope.key for scope in SCOPES])))
    def retain(self, kept: set[str]) -> None:
        self.ledger.retain(kept)
        for n, scope in enumerate(SCOPES):
            if scope.key not in kept and not self.models[n].leases:
                self.models[n] = Model(scope)

    @invariant()
    def agrees(self) -> None:
        assert self.ledger.held() == sum(len(path) for _, path, _ in self.grants.values())
        for scope, model in zip(self.scopes, self.models, strict=True):
            status = self.ledger.status(scope, float(self.now))
            for kind, level in (
                (LimitKind.REQUESTS, status.requests),
                (LimitKind.TOKENS, status.tokens),
            ):
                limit = model.rates.get(kind)
                assert (level is None) is (limit is None)
                if level is not None and limit is not None:
                    short = limit - model.left[kind]
                    whole = max(0, int(model.left[kind]))
                    assert level == BucketLevel(limit, whole, float(short * 60 / limit))

        for account in self.ledger:
            model = self.models[[scope.key for scope in SCOPES].index(account.scope.key)]
            assert account.leases == len(model.leases)
            if account.spending is not None:
                spending = account.spending.at(float(self.epoch))
                day = int(self.epoch // 86_400)
                assert spending.spent == model.days.get(day, 0)
                assert spending.reserved == model.reserved(day)

    def teardown(self) -> None:
        for grant, _, _ in self.grants.values():
            self.ledger.void(grant, float(self.now), float(self.epoch))
        assert self.ledger.held() == 0
        for account in self.ledger:
            assert account.spending is None or account.spending.reserved == 0

    def _admit(
        self, path: list[int], demand: Demand, ledger: Ledger, later: Fraction | int = 0
    ) -> Grant | LimitRefusal:
        scopes = [self.scopes[n] for n in path]
        return ledger.admit(scopes, demand, float(self.now + later), float(self.epoch + later))

    def _come_back(self, path: list[int], demand: Demand, wait: Fraction) -> None:
        """A refused request is admitted when it was told to come back, and not before."""
        early = self._admit(path, demand, copy.deepcopy(self.ledger), wait - Fraction(1, 1024))
        assert isinstance(early, LimitRefusal)
        assert isinstance(self._admit(path, demand, copy.deepcopy(self.ledger), wait), Grant)

    def _pass(self, seconds: Fraction) -> None:
        self.now += seconds
        self.epoch += seconds
        for model in self.models:
            model.pass_time(seconds)

    def _end(self, data: st.DataObject) -> tuple[Grant, list[int], Demand]:
        number = data.draw(st.sampled_from(sorted(self.grants)))
        grant, path, demand = self.grants.pop(number)
        for n in path:
            del self.models[n].leases[number]
        self.ended.append(grant)
        return grant, path, demand


TestAdmission = Admission.TestCase
TestAdmission.settings = settings(stateful_step_count=60, max_examples=rounds(15, 300))


def test_what_is_on_record_counts_unless_more_is_known() -> None:
    ledger = Ledger()
    scope = Scope("token:t", ScopeLimits(), Budget(usd=1, window="day"))
    ledger.recall(scope, 400_000_000, 0.0)
    (account,) = ledger
    assert account.spending is not None
    grant = ledger.admit([scope], Demand(0, 0), 0.0, 0.0)
    assert isinstance(grant, Grant)
    ledger.settle(grant, 0, 100_000_000, 0.0, 0.0)
    assert account.spending.spent == 500_000_000
    # It has not been written yet.
    ledger.recall(scope, 400_000_000, 0.0)
    assert account.spending.spent == 500_000_000
    ledger.recall(scope, 1_000_000_000, 0.0)
    refused = ledger.admit([scope], Demand(0, 0), 0.0, 0.0)
    assert isinstance(refused, LimitRefusal)
    # Of yesterday nothing counts.
    assert isinstance(ledger.admit([scope], Demand(0, 0), 86_400.0, 86_400.0), Grant)


def test_of_what_has_no_budget_nothing_is_recalled() -> None:
    ledger = Ledger()
    scope = Scope("token:t", ScopeLimits(rpm=1))
    ledger.recall(scope, 400_000_000, 0.0)
    (account,) = ledger
    assert account.spending is None


def test_what_was_spent_yesterday_says_nothing_of_today() -> None:
    ledger = Ledger()
    scope = Scope("token:t", ScopeLimits(), Budget(usd=1, window="day"))
    grant = ledger.admit([scope], Demand(0, 0), 86_400.0, 86_400.0)
    assert isinstance(grant, Grant)
    ledger.settle(grant, 0, 777, 86_400.0, 86_400.0)
    # It was asked for before midnight, and the answer came after it.
    ledger.recall(scope, 999_000_000, 0.0)
    (account,) = ledger
    assert account.spending is not None
    assert account.spending.at(86_401.0).spent == 777


# Grants that expire...


def held(ledger: Ledger, scope: Scope, demand: Demand, now: float, expires: float) -> Grant:
    grant = ledger.admit([scope], demand, now, EPOCH, expires)
    assert isinstance(grant, Grant)
    return grant


def test_an_expired_lease_makes_room_when_the_account_is_full() -> None:
    ledger, scope = Ledger(), token(max_concurrent=2)
    lost = held(ledger, scope, Demand(), 0.0, 10.0)
    held(ledger, scope, Demand(), 1.0, 20.0)
    refused = ledger.admit([scope], Demand(), 9.9, EPOCH, 99.0)
    assert isinstance(refused, LimitRefusal)
    assert refused.kind is LimitKind.CONCURRENT
    kept = held(ledger, scope, Demand(), 10.0, math.inf)
    assert ledger.held() == 2
    for _ in range(2):
        ledger.release(lost)
        ledger.settle(lost, 0, 0, 10.0, EPOCH)
    assert ledger.held() == 2
    assert isinstance(ledger.admit([scope], Demand(), 19.9, EPOCH), LimitRefusal)
    last = held(ledger, scope, Demand(), 20.0, 30.0)
    # What never expires stays for ever, and what has ended is not looked for any more.
    ledger.settle(last, 0, 0, 21.0, EPOCH)
    held(ledger, scope, Demand(), 21.0, 1e9)
    assert isinstance(ledger.admit([scope], Demand(), 1e6, EPOCH), LimitRefusal)
    ledger.void(kept, 1e6, EPOCH)
    assert ledger.held() == 1


def test_a_grant_that_is_renewed_does_not_expire() -> None:
    ledger, scope = Ledger(), token(max_concurrent=2)
    kept = held(ledger, scope, Demand(), 0.0, 10.0)
    lost = held(ledger, scope, Demand(), 0.0, 10.0)
    ledger.renew(kept, 30.0)
    other = held(ledger, scope, Demand(), 20.0, 50.0)
    # It has expired, and somebody else has its place.
    ledger.renew(lost, 90.0)
    assert isinstance(ledger.admit([scope], Demand(), 29.9, EPOCH), LimitRefusal)
    ledger.postpone(10.0)
    assert isinstance(ledger.admit([scope], Demand(), 39.9, EPOCH), LimitRefusal)
    held(ledger, scope, Demand(), 40.0, 90.0)
    for grant in (kept, lost, other):
        ledger.settle(grant, 0, 0, 41.0, EPOCH)
        ledger.renew(grant, 99.0)
    assert ledger.held() == 1


def test_the_money_that_an_expired_grant_reserved_is_given_back_once() -> None:
    ledger = Ledger()
    scope = Scope("token:t", ScopeLimits(), Budget(usd=1, window="total"))
    lost = held(ledger, scope, Demand(cost=600_000_000), 0.0, 10.0)
    ledger.release(lost)
    other = held(ledger, scope, Demand(cost=400_000_000), 0.0, 20.0)
    assert isinstance(ledger.admit([scope], Demand(), 9.0, EPOCH), LimitRefusal)
    ledger.void(held(ledger, scope, Demand(), 10.0, 20.0), 10.0, EPOCH)
    assert spent(ledger) == (0, 400_000_000)
    # Settled late: what was used is charged.
    ledger.settle(lost, 0, 500_000_000, 11.0, EPOCH)
    ledger.settle(lost, 0, 500_000_000, 11.0, EPOCH)
    assert spent(ledger) == (500_000_000, 400_000_000)
    ledger.settle(other, 0, 1, 11.0, EPOCH)
    assert spent(ledger) == (500_000_001, 0)


def test_requests_and_tokens_of_an_expired_grant_stay_charged_until_it_is_voided() -> None:
    ledger, scope = Ledger(), token(rpm=2, tpm=600, max_concurrent=1)
    lost = held(ledger, scope, Demand(tokens=60), 0.0, 1.0)
    assert isinstance(ledger.admit([scope], Demand(tokens=551), 1.0, EPOCH), LimitRefusal)
    assert ledger.held() == 0
    assert left(ledger, scope, 1.0) == (1, 550)
    ledger.void(lost, 1.0, EPOCH)
    assert left(ledger, scope, 1.0) == (2, 600)
