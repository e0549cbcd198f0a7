"""What a script is given, to the byte; and several databases that share one server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import Demand, Scope, ScopeLimits
from gateway.core.limits.operations import (
    AdmitCall,
    Admitted,
    BeatCall,
    CarriedUse,
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
    SpendingOnRecord,
    StatusCall,
)
from gateway.core.state_server import StateServer
from gateway.state.redis.arguments import ScriptArguments
from gateway.state.redis.limit_store import RedisLimitStore

from ...valkey import ValkeyServer

HERE, THERE = "0123456789abcdef", "fedcba9876543210"
# More than a float can hold to the nano-dollar.
MUCH = 4_000_000 * 10**9 + 1


# Names are whatever an operator has written.
NAMES = ["a", "Zoë 🐝", "two words", "line\r\nbreak\n", "", "$3\r\nabc", "{x}:y\0z"]

PLAIN = Scope("token:a", ScopeLimits(rpm=60, max_concurrent=5))
MONEY = Scope("team:b", ScopeLimits(tpm=9_000), Budget(usd=12, window="week"))
PLAIN_KEYS = ("{p}:l:token:a", "{p}:c:token:a", "{p}:v:token:a")
MONEY_KEYS = ("{p}:l:team:b", "{p}:c:team:b", "{p}:v:team:b")
HELD = GrantHolding(
    "id1", (PLAIN, MONEY), (ScopeCharge(1.0, 0.0, 0), ScopeCharge(0, 0.25, 7)), True
)
OTHER = GrantHolding("id2", (MONEY,), (), False)

# A call, its keys and its arguments.
PACKED: list[tuple[LimitCall, tuple[str, ...], tuple[str, ...]]] = [
    (
        AdmitCall("id1", (PLAIN, MONEY), Demand(70, 900, bounded=False), 60.5),
        ("{p}:g:id1", *PLAIN_KEYS, *MONEY_KEYS),
        ("admit", "id1 60.5 70 900 0", "60 0 5 0 -", "0 9000 0 12000000000 week"),
    ),
    (
        AdmitCall("id3", (), Demand(), 0.001),
        ("{p}:g:id3",),
        ("admit", "id3 0.001 0 0 1"),
    ),
    (
        EndCall((GrantEnding(HELD, "settle", 3, MUCH), GrantEnding(OTHER, "void"))),
        ("{p}:g:id1", *PLAIN_KEYS, *MONEY_KEYS, "{p}:g:id2", *MONEY_KEYS),
        (
            "end",
            f"settle 3 {MUCH} id1 2",
            *("60 0 5 0 -", "1.0 0.0 0", "0 9000 0 12000000000 week", "0 0.25 7"),
            "void 0 0 id2 1",
            *("0 9000 0 12000000000 week", "0.0 0.0 0"),
        ),
    ),
    (
        RenewCall((HELD, OTHER), 30.0),
        ("{p}:g:id1", *PLAIN_KEYS, *MONEY_KEYS, "{p}:g:id2", *MONEY_KEYS),
        (
            *("renew", "30.0", "1 id1 2"),
            *("60 0 5 0 -", "1.0 0.0 0", "0 9000 0 12000000000 week", "0 0.25 7"),
            *("0 id2 1", "0 9000 0 12000000000 week", "0.0 0.0 0"),
        ),
    ),
    (
        CarryCall("id4", (CarriedUse(PLAIN, ScopeLevel(1.5, 0.0), 2.0, 1e-07, 8, 1.75e9),)),
        ("{p}:g:id4", *PLAIN_KEYS),
        ("carry", "60 0 5 0 -", "1.5 0.0 2.0 1e-07 8 1750000000.0"),
    ),
    (
        CorrectCall((SpendingOnRecord(MONEY, MUCH, 1.75e9, 4),), HERE),
        (*MONEY_KEYS, "{p}:databases"),
        ("correct", HERE, "0 9000 0 12000000000 week", f"{MUCH} 1750000000.0 4"),
    ),
    (StatusCall((MONEY,)), MONEY_KEYS, ("status", "0 9000 0 12000000000 week")),
    (BeatCall("n", 20.0, unrecorded=True), ("{p}:p", "{p}:databases"), ("beat", "n", "20.0", "1")),
]


def encoded(*words: str) -> bytes:
    """Return a command as the protocol has it (redis.io, "Redis serialization protocol")."""
    found = f"*{len(words)}\r\n".encode()
    for each in words:
        found += b"$" + str(len(each.encode())).encode() + b"\r\n" + each.encode() + b"\r\n"
    return found


@pytest.mark.parametrize(("call", "keys", "arguments"), PACKED)
def test_a_call_to_the_byte(
    call: LimitCall, keys: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    found = ScriptArguments("p")
    for _ in range(2):
        # The second time its scopes are known.
        packed = found.of(call).command(b"EVALSHA", "sha")
        assert packed == encoded("EVALSHA", "sha", str(len(keys)), *keys, *arguments)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_to_the_byte(name: str) -> None:
    key = f"token:{name}"
    scope = Scope(key, ScopeLimits(rpm=1))
    packed = ScriptArguments("p").of(StatusCall((scope,))).command(b"EVAL", b"text")
    keys = (f"{{p}}:l:{key}", f"{{p}}:c:{key}", f"{{p}}:v:{key}")
    assert packed == encoded("EVAL", "text", "3", *keys, "status", "1 0 0 0 -")


def test_limits_that_change_are_packed_anew() -> None:
    found = ScriptArguments("p")
    for rpm in (1, 2):
        call = StatusCall((Scope("token:a", ScopeLimits(rpm=rpm)),))
        assert f"{rpm} 0 0 0 -".encode() in found.of(call).command(b"EVAL", b"text")


def test_of_no_scopes_nothing_is_said() -> None:
    found = ScriptArguments("p")
    assert found.reply(StatusCall(()), b"") == []
    assert found.reply(CorrectCall(()), b"") == []


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


async def test_names_of_any_text(store: RedisLimitStore) -> None:
    """What a caller or an operator has named is in no line of a reply."""
    scopes = tuple(
        Scope(f"token:{name}", ScopeLimits(rpm=1), Budget(usd=1, window="day")) for name in NAMES
    )
    admitted = await store.call(AdmitCall("a", scopes, Demand(cost=5), 60.0))
    assert isinstance(admitted, Admitted)
    assert [level.reserved for level in admitted.levels] == [5] * len(NAMES)
    for scope in scopes:
        refused = await store.call(AdmitCall("b", (scope,), Demand(), 60.0))
        assert isinstance(refused, NotAdmitted)
        assert refused.refusal.scope is scope
    grant = GrantHolding("a", scopes, tuple(admitted.charges), False)
    await store.call(EndCall((GrantEnding(grant, "settle", 0, 3),)))
    levels = await store.call(StatusCall(scopes))
    assert [(level.spent, level.reserved) for level in levels] == [(3, 0)] * len(NAMES)
    assert await store.call(StatusCall(())) == []


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
