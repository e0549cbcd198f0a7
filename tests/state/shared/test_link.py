"""What becomes of limits while the server that they are kept in is away, slow or refuses."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.lowlevel

from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import Demand, LimitRefusal, Scope, ScopeLimits
from gateway.core.state_server import StateServer
from gateway.state.redis.limit_store import RedisLimitStore
from gateway.state.shared.grant import SharedGrant
from gateway.state.shared.limits import TIMEOUT, SharedLimits

from ...rounds import rounds
from ...valkey import ValkeyServer
from .conftest import told, until
from .faulty_proxy import FaultyProxy

PLENTY = (Scope("token:plenty", ScopeLimits(rpm=1_000_000, max_concurrent=10_000)),)
# Of a loaded machine that runs the tests; the operation's own time-out is 50 ms.
SLACK = 0.15

Act = Callable[[FaultyProxy, ValkeyServer], Awaitable[None]]


async def refused(proxy: FaultyProxy, _: ValkeyServer) -> None:
    proxy.refuse()


async def slow(proxy: FaultyProxy, _: ValkeyServer) -> None:
    proxy.delay = 20.0


def answering(error: bytes) -> Act:
    async def answer(proxy: FaultyProxy, _: ValkeyServer) -> None:
        proxy.error = error

    return answer


async def cut(proxy: FaultyProxy, _: ValkeyServer) -> None:
    proxy.cuts = True


async def swallowed(proxy: FaultyProxy, _: ValkeyServer) -> None:
    proxy.swallows = True


async def frozen(_: FaultyProxy, server: ValkeyServer) -> None:
    server.freeze()


async def killed(_: FaultyProxy, server: ValkeyServer) -> None:
    server.kill()


async def wrong_type(_: FaultyProxy, server: ValkeyServer) -> None:
    server.command("SET", "{gateway}:l:token:plenty", "x")


async def replica(_: FaultyProxy, server: ValkeyServer) -> None:
    server.command("CONFIG", "SET", "replica-read-only", "yes")
    server.command("CONFIG", "SET", "replica-serve-stale-data", "yes")
    server.command("REPLICAOF", "127.0.0.1", "1")


async def mend(proxy: FaultyProxy, server: ValkeyServer) -> None:
    """Undo whatever was done."""
    proxy.heal()
    if server._process is None:
        server.start()
    server.thaw()
    server.command("REPLICAOF", "NO", "ONE")
    kind = server.command("TYPE", "{gateway}:l:token:plenty")
    if kind == "string":
        server.command("DEL", "{gateway}:l:token:plenty")
    if proxy._listening.cancel_called:
        await proxy.listen()


FAULTS: dict[str, Act] = {
    "refused": refused,
    "slow": slow,
    "loading": answering(b"-LOADING Redis is loading the dataset in memory\r\n"),
    "busy script": answering(b"-BUSY Redis is busy running a script\r\n"),
    "no permission": answering(b"-NOPERM this user has no permissions to run evalsha\r\n"),
    "nonsense": answering(b"?nonsense\r\n"),
    "cut in the middle of a script": cut,
    "answers are lost": swallowed,
    "frozen": frozen,
    "killed": killed,
    "a key of another type": wrong_type,
    "out of memory": answering(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
    "a replica that only reads": replica,
}


@asynccontextmanager
async def sharing(
    proxy: FaultyProxy, processes: int = 1, timeout: float = TIMEOUT
) -> AsyncIterator[tuple[SharedLimits, ...]]:
    """So many processes that share limits through `proxy`."""
    settings = StateServer(url=proxy.url)
    found = tuple(
        SharedLimits(RedisLimitStore(settings), random.random, processes=processes, timeout=timeout)
        for _ in range(processes)
    )
    async with trio.open_nursery() as nursery:
        for each in found:
            await nursery.start(each.run)
        yield found
        nursery.cancel_scope.cancel()


async def admitted(limits: SharedLimits, scopes: tuple[Scope, ...] = PLENTY) -> bool:
    grant = await limits.admit(scopes, Demand(), 60.0)
    if isinstance(grant, LimitRefusal):
        return False
    await limits.settle(grant, 1, 1)
    return True


async def all_are(*limits: SharedLimits, degraded: bool) -> None:
    await until(lambda: all(each.degraded is degraded for each in limits))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.measured
async def test_no_request_fails_or_waits_while_the_server_is_at_fault(
    fault: str, valkey: ValkeyServer
) -> None:
    proxy = FaultyProxy(valkey.port)
    async with proxy.listening(), sharing(proxy) as (limits,):
        await all_are(limits, degraded=False)
        assert await admitted(limits)
        outages = limits.link.outages
        try:
            await FAULTS[fault](proxy, valkey)
            took: list[float] = []
            ends = trio.current_time() + 30
            # A busy machine may need more of them to find it out.
            while len(took) < 60 or (limits.link.outages == outages and trio.current_time() < ends):
                began = trio.current_time()
                assert await admitted(limits)
                took.append(trio.current_time() - began)
                await trio.sleep(0.005)
            assert limits.link.outages > outages
            assert limits.decided_alone
            took.sort()
            assert took[-1] < 0.05 + SLACK
            # A few requests find it out; the others are not held up.
            assert took[len(took) * 2 // 3] < 0.02
        finally:
            await mend(proxy, valkey)
        ends = trio.current_time() + 30
        while True:
            await all_are(limits, degraded=False)
            await told(limits)
            alone = limits.decided_alone
            for _ in range(20):
                assert await admitted(limits)
            # On a busy machine a single answer may be late again.
            if limits.decided_alone == alone:
                break
            assert trio.current_time() < ends
        assert limits.link.outages < outages + 15


async def test_scripts_that_are_forgotten_are_sent_again(valkey: ValkeyServer) -> None:
    proxy = FaultyProxy(valkey.port)
    # However late the answers are on a busy machine.
    async with proxy.listening(), sharing(proxy, timeout=20.0) as (limits,):
        await all_are(limits, degraded=False)
        for _ in range(3):
            valkey.command("SCRIPT", "FLUSH")
            assert await admitted(limits)
        assert limits.decided_alone == 0
        assert limits.link.outages == 0


async def test_starts_without_the_server_and_says_so(
    valkey: ValkeyServer, capfd: pytest.CaptureFixture[str]
) -> None:
    proxy = FaultyProxy(valkey.port)
    limited = (Scope("token:a", ScopeLimits(rpm=8)),)
    async with proxy.listening():
        proxy.refuse()
        async with sharing(proxy, 4) as (one, two, *_):
            assert one.degraded
            assert [await admitted(one, limited) for _ in range(4)] == [True, True, False, False]
            assert "limits_degraded" in capfd.readouterr().out
            await proxy.listen()
            await all_are(one, two, degraded=False)
            # What it let through by itself is a quarter of a quarter of what it was.
            assert [await admitted(two, limited) for _ in range(8)].count(True) in (6, 7)


@pytest.mark.slow
@pytest.mark.measured
async def test_shares_of_an_outage_and_no_burst_at_either_end(valkey: ValkeyServer) -> None:
    """Four processes: together as much as one limit, before, in and after an outage."""
    rpm = 240
    limited = (Scope("token:a", ScopeLimits(rpm=rpm)),)
    proxy = FaultyProxy(valkey.port)
    async with proxy.listening(), sharing(proxy, 4) as processes:
        await all_are(*processes, degraded=False)
        began = trio.current_time()
        count = 0

        async def ask_all(rounds: int) -> None:
            nonlocal count
            for _ in range(rounds):
                for each in processes:
                    count += await admitted(each, limited)

        await ask_all(rpm // 8)
        proxy.refuse()
        for each in processes:
            await admitted(each)
        await all_are(*processes, degraded=True)
        # Half of the bucket is left to four shares.
        await ask_all(rpm // 2)
        due = rpm + (trio.current_time() - began) * rpm / 60
        assert due - 12 <= count <= due + 12
        valkey.restart()  # with nothing of what it knew
        await proxy.listen()
        await all_are(*processes, degraded=False)
        await ask_all(rpm // 2)
        due = rpm + (trio.current_time() - began) * rpm / 60
        # Each goes by what it has last heard of the others.
        assert due - 16 <= count <= due + 12


async def test_places_are_counted_across_an_outage(valkey: ValkeyServer) -> None:
    limited = (Scope("token:a", ScopeLimits(max_concurrent=8)),)
    proxy = FaultyProxy(valkey.port)
    async with proxy.listening(), sharing(proxy, 2) as (one, two):
        await all_are(one, two, degraded=False)
        held = [await one.admit(limited, Demand(), 60.0) for _ in range(3)]
        proxy.refuse()
        await all_are(one, two, degraded=True)
        # Its share of eight is four, of which it has three already.
        fourth = await one.admit(limited, Demand(), 60.0)
        assert isinstance(fourth, SharedGrant)
        assert isinstance(await one.admit(limited, Demand(), 60.0), LimitRefusal)
        await one.settle(held.pop(), 0, 0)
        fifth = await one.admit(limited, Demand(), 60.0)
        assert isinstance(fifth, SharedGrant)
        valkey.command("FLUSHALL")
        await proxy.listen()
        await all_are(one, two, degraded=False)
        await told(one)
        # All four are known to the server, which had forgotten everything.
        more = [await two.admit(limited, Demand(), 60.0) for _ in range(5)]
        assert [isinstance(each, SharedGrant) for each in more] == [True] * 4 + [False]
        for each in (*held, fourth, fifth):
            await one.void(each)
        await told(one)
        assert isinstance(await two.admit(limited, Demand(), 60.0), SharedGrant)


@pytest.mark.parametrize("costs", [False, True])
async def test_what_one_late_answer_let_through_is_told_at_once(
    valkey: ValkeyServer, costs: bool
) -> None:
    """Our own loop was late, and the server is there: no outage, and nothing is forgotten."""
    limited = (Scope("token:a", ScopeLimits(rpm=600, max_concurrent=5), Budget(usd=1.0)),)
    limits = SharedLimits(
        RedisLimitStore(StateServer(url=valkey.url)), random.random, processes=2, timeout=0.1
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(limits.run)
        await all_are(limits, degraded=False)
        grants: list[object] = []
        # On a busy machine the answer may come in time all the same, or be late for other reasons.
        with trio.fail_after(60):
            while not limits.decided_alone:

                async def ask() -> None:
                    grants.append(await limits.admit(limited, Demand(cost=7), 60.0))

                async with trio.open_nursery() as asking:
                    asking.start_soon(ask)
                    await trio.lowlevel.checkpoint()
                    time.sleep(0.3)  # noqa: ASYNC251  # what a busy process does
                if not limits.decided_alone:
                    await limits.void(grants.pop())
        await all_are(limits, degraded=False)
        await told(limits)
        (grant,) = grants
        assert isinstance(grant, SharedGrant)
        (level,) = await limits.status(limited, exact=True)
        assert level.budget is not None
        assert (level.budget.spent, level.budget.reserved) == (0, 7)
        await limits.renew([grant], 60.0)
        await (limits.settle(grant, 0, 1000) if costs else limits.void(grant))
        await told(limits)
        (level,) = await limits.status(limited, exact=True)
        assert level.budget is not None
        assert (level.budget.spent, level.budget.reserved) == (1000 if costs else 0, 0)
        # No place is left taken, either.
        assert valkey.command("ZCARD", "{gateway}:c:token:a") == 0
        nursery.cancel_scope.cancel()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["refused", "answers are lost", "cut in the middle of a script"])
async def test_money_is_neither_lost_nor_counted_twice(fault: str, valkey: ValkeyServer) -> None:
    limited = (Scope("token:a", ScopeLimits(), Budget(usd=1.0, window="total")),)
    proxy = FaultyProxy(valkey.port)
    rng = random.Random(fault)
    spent = 0
    # A busy machine is slower than 50 ms again and again.
    async with proxy.listening(), sharing(proxy, timeout=0.3) as (limits,):
        for _ in range(rounds(3, 20)):
            await all_are(limits, degraded=False)

            async def requests() -> None:
                nonlocal spent
                for _ in range(10):
                    grant = await limits.admit(limited, Demand(cost=rng.randrange(10**6)), 60.0)
                    assert isinstance(grant, SharedGrant)
                    await trio.sleep(rng.random() * 0.02)
                    cost = rng.randrange(10**6)
                    await limits.settle(grant, 1, cost)
                    spent += cost

            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(requests)
                await trio.sleep(rng.random() * 0.02)
                await FAULTS[fault](proxy, valkey)
                await trio.sleep(0.1)
                await mend(proxy, valkey)
        await all_are(limits, degraded=False)
        await told(limits)
        (status,) = await limits.status(limited, exact=True)
    assert status.budget is not None
    assert (status.budget.spent, status.budget.reserved) == (spent, 0)


async def test_what_one_process_has_spent_of_a_budget_in_an_outage_is_its_part(
    valkey: ValkeyServer,
) -> None:
    limited = (Scope("token:a", ScopeLimits(), Budget(usd=1e-6, window="total")),)
    proxy = FaultyProxy(valkey.port)
    async with proxy.listening(), sharing(proxy, 2) as (one, _):
        await all_are(one, degraded=False)
        grant = await one.admit(limited, Demand(), 60.0)
        await one.settle(grant, 0, 200)
        await told(one)
        await one.void(await one.admit(limited, Demand(), 60.0))
        proxy.refuse()
        await admitted(one)
        await all_are(one, degraded=True)
        # 800 are left, of which 400 are this one's.
        for cost in (100, 100, 100, 100):
            grant = await one.admit(limited, Demand(), 60.0)
            assert isinstance(grant, SharedGrant)
            await one.settle(grant, 0, cost)
        refusal = await one.admit(limited, Demand(), 60.0)
        assert isinstance(refusal, LimitRefusal)
        assert refusal.message == "you have used up your budget of 1e-06 USD in total"
