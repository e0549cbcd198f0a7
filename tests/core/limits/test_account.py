from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec
import pytest

from gateway.core.limits.account import (
    CONCURRENT_WAIT,
    Account,
    LimitKind,
    Scope,
    ScopeLimits,
    open_account,
)
from gateway.core.limits.bucket import BucketLevel
from gateway.core.limits.budget import Budget
from gateway.core.limits.refusals import message_of

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
NOON = MIDNIGHT + 43_200


def used(
    limits: ScopeLimits,
    budget: Budget | None = None,
    *,
    requests: int = 0,
    tokens: int = 0,
    leases: int = 0,
    spent: int = 0,
) -> Account:
    account = open_account(Scope("token:t", limits, budget), NOON)
    if account.requests is not None:
        account.requests.take(requests, 0.0)
    if account.tokens is not None:
        account.tokens.take(tokens, 0.0)
    if account.spending is not None:
        account.spending.spent = spent
    account.leases = leases
    return account


DAY = Budget(usd=10, window="day")
EVER = Budget(usd=0.25, window="total")

# What is used, and what is in the way of 50 tokens a second later.
OBSTACLES: list[tuple[Account, list[tuple[float, LimitKind, str]]]] = [
    (used(ScopeLimits(), requests=9, tokens=9, leases=9), []),
    (used(ScopeLimits(60, 60, 1), DAY, requests=60, tokens=11, spent=10**10 - 1), []),
    (
        used(ScopeLimits(rpm=30), requests=30),
        [(1.0, LimitKind.REQUESTS, "rate limit reached for requests: limit 30 per minute")],
    ),
    (
        used(ScopeLimits(tpm=60), tokens=60),
        [
            (
                49.0,
                LimitKind.TOKENS,
                "rate limit reached for tokens: limit 60 per minute, about 50 requested",
            )
        ],
    ),
    (
        used(ScopeLimits(tpm=49)),
        [
            (
                math.inf,
                LimitKind.TOKENS,
                "request too large: limit 49 per minute, about 50 requested",
            )
        ],
    ),
    (
        used(ScopeLimits(max_concurrent=2), leases=2),
        [(CONCURRENT_WAIT, LimitKind.CONCURRENT, "too many requests at once: limit 2")],
    ),
    (
        used(ScopeLimits(), DAY, spent=10**10),
        [(43_199.0, LimitKind.BUDGET, "you have used up your budget of 10 USD per day")],
    ),
    (
        used(ScopeLimits(), EVER, spent=10**9),
        [(math.inf, LimitKind.BUDGET, "you have used up your budget of 0.25 USD in total")],
    ),
]


@pytest.mark.parametrize(("account", "obstacles"), OBSTACLES)
def test_obstacles(account: Account, obstacles: list[tuple[float, LimitKind, str]]) -> None:
    assert account.admits(50, 1.0, NOON + 1) is (obstacles == [])
    found = [
        (wait, kind, message_of(account.scope, kind, 50, wait, used_up=used_up))
        for wait, kind, used_up in account.obstacles(50, 1.0, NOON + 1)
    ]
    assert found == obstacles


def test_every_obstacle_is_told_of() -> None:
    account = used(ScopeLimits(1, 50, 1), DAY, requests=1, tokens=50, leases=1, spent=10**10)
    assert [kind for _, kind, _ in account.obstacles(1, 0.0, NOON)] == list(LimitKind)


@pytest.mark.parametrize(
    "table", [{"rpm": 0}, {"tpm": -1}, {"max_concurrent": 0}, {"rpm": 1.5}, {"rpm": "60"}]
)
def test_what_is_no_limit(table: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, ScopeLimits)


def test_following_another_scope_keeps_what_is_used() -> None:
    account = used(ScopeLimits(60, 600, 2), DAY, requests=30, tokens=150, leases=2, spent=10**9)
    scope = Scope("token:t", ScopeLimits(120, 60, 3), Budget(usd=1, window="day"))
    account.follow(scope, 0.0, NOON)
    assert account.scope is scope
    assert account.requests is not None
    assert account.requests.level(0.0) == BucketLevel(120, 60, 30.0)
    assert account.tokens is not None
    assert account.tokens.level(0.0) == BucketLevel(60, 45, 15.0)
    assert account.leases == 2
    assert account.spending is not None
    assert account.spending.exhausted


def test_following_the_same_limits_changes_nothing() -> None:
    account = used(ScopeLimits(60, 600, 2), DAY, requests=30, tokens=150, leases=2, spent=10**9)
    before = repr(account)
    account.follow(
        Scope("token:t", ScopeLimits(60, 600, 2), msgspec.structs.replace(DAY)), 5.0, NOON
    )
    assert repr(account) == before


def test_limits_come_and_go() -> None:
    account = used(ScopeLimits(60, 600, 2), DAY, requests=60, tokens=600, leases=2, spent=10**10)
    account.follow(Scope("token:t", ScopeLimits()), 0.0, NOON)
    assert account.admits(10**9, 0.0, NOON)
    assert (account.requests, account.tokens, account.spending) == (None, None, None)
    account.follow(Scope("token:t", ScopeLimits(60, 600, 2), DAY), 0.0, NOON)
    # What nobody counted is forgotten; the leases are still held.
    assert [kind for _, kind, _ in account.obstacles(600, 0.0, NOON)] == [LimitKind.CONCURRENT]


def test_a_budget_is_whole_again_in_the_next_window_whatever_else_is_in_the_way() -> None:
    account = used(ScopeLimits(rpm=1), DAY, requests=1, spent=10**10)
    assert [kind for _, kind, _ in account.obstacles(1, 0.0, NOON)] == [
        LimitKind.REQUESTS,
        LimitKind.BUDGET,
    ]
    assert not account.admits(1, 0.0, NOON + 43_200)
    kinds = [kind for _, kind, _ in account.obstacles(1, 0.0, NOON + 43_200)]
    assert kinds == [LimitKind.REQUESTS]
    assert account.admits(1, 60.0, NOON + 43_260)
