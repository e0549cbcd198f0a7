"""Gateways with databases of their own that share one server, and so their budgets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import Demand, Scope, ScopeLimits
from gateway.core.limits.operations import (
    AdmitCall,
    BeatCall,
    CorrectCall,
    EndCall,
    GrantEnding,
    GrantHolding,
    SpendingCounted,
    SpendingOnRecord,
    StatusCall,
)
from gateway.core.state_server import StateServer
from gateway.state.redis.limit_store import RedisLimitStore

from ...valkey import ValkeyServer

HERE, THERE = "0123456789abcdef", "fedcba9876543210"
# More than a float can hold to the nano-dollar.
MUCH = 4_000_000 * 10**9 + 1


class Counting:
    """One scope with a budget of a `window`, as gateways count it in one server."""

    def __init__(self, store: RedisLimitStore, window: str, name: str) -> None:
        budget = Budget(usd=9_000_000, window=window)  # type: ignore[arg-type]  # one of them
        self.scope = Scope(f"token:{name}", ScopeLimits(), budget)
        self._store = store
        self._spent = 0

    async def spend(self, cost: int) -> None:
        self._spent += 1
        grant = GrantHolding(f"{self.scope.key}{self._spent}", (self.scope,), (), True)
        await self._store.call(AdmitCall(grant.id, (self.scope,), Demand(), 60.0))
        await self._store.call(EndCall((GrantEnding(grant, "settle", 0, cost),)))

    async def look(self, database: str, on_record: int, excess: int = 0) -> SpendingCounted:
        record = SpendingOnRecord(self.scope, on_record, time.time(), excess)
        found: list[SpendingCounted] = await self._store.call(CorrectCall((record,), database))
        return found[0]

    async def spent(self) -> int:
        (level,) = await self._store.call(StatusCall((self.scope,)))
        return int(level.spent)


@pytest.fixture
async def store(valkey: ValkeyServer) -> AsyncIterator[RedisLimitStore]:
    found = RedisLimitStore(StateServer(url=valkey.url))
    async with found.connected():
        yield found


@pytest.mark.parametrize("window", ["day", "week", "month", "total"])
async def test_a_budget_is_what_all_databases_have(
    store: RedisLimitStore, valkey: ValkeyServer, window: str
) -> None:
    counting = Counting(store, window, window)
    for cost in (MUCH, 700):
        await counting.spend(cost)
    # Each has a part of it, and neither takes the other's for too much.
    assert await counting.look(HERE, MUCH) == SpendingCounted(MUCH + 700, MUCH + 700, MUCH)
    assert (await counting.look(THERE, 700)).on_record == MUCH + 700
    for _ in range(5):
        found = await counting.look(HERE, MUCH, excess=700)
        assert found == SpendingCounted(MUCH + 700, MUCH + 700, MUCH + 700, 2)
    # The server is emptied: each makes up for what it has, and together that is all.
    valkey.command("FLUSHALL")
    assert (await counting.look(THERE, 700)).spent == 700
    assert (await counting.look(HERE, MUCH)).spent == MUCH + 700
    # What is repriced, or was deleted, is what is on record now.
    assert (await counting.look(THERE, 600)).on_record == MUCH + 600


async def test_what_is_in_no_database_is_not_taken_back(store: RedisLimitStore) -> None:
    counting = Counting(store, "day", "a")
    await counting.spend(900)
    await counting.look(HERE, 300)
    await store.call(BeatCall("p", 20.0, unrecorded=True))
    found = await counting.look(HERE, 300, excess=600)
    assert found == SpendingCounted(900, 900, 300, 2)


async def test_one_database_alone_has_too_much_taken_back(
    store: RedisLimitStore, valkey: ValkeyServer
) -> None:
    counting = Counting(store, "day", "a")
    await counting.spend(900)
    # Another one was there before this window began.
    valkey.command("ZADD", "{gateway}:databases", int(time.time()) - 2 * 86_400, THERE)
    await counting.look(HERE, 300)
    found = await counting.look(HERE, 300, excess=600)
    assert found == SpendingCounted(300, 900, 300, 1)
    # Of a process of the version before nobody knows whose its records are.
    await counting.spend(5)
    assert (await counting.look("", 100)).databases == 1
    assert await counting.spent() == 305


async def test_of_very_many_databases_the_last_are_remembered(
    store: RedisLimitStore, valkey: ValkeyServer
) -> None:
    for start in range(0, 1_500, 100):
        pairs = [word for n in range(start, start + 100) for word in (n, f"{n:016x}")]
        valkey.command("ZADD", "{gateway}:databases", *pairs)
    await Counting(store, "day", "a").look(HERE, 1)
    assert valkey.command("ZCARD", "{gateway}:databases") == 1_000
    assert valkey.command("ZSCORE", "{gateway}:databases", HERE) is not None
