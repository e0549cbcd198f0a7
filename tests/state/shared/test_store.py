"""Numbers stay sane when some processes are cut off, or the server forgets or is full."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import Demand, LimitRefusal, Scope, ScopeLimits
from gateway.core.state_server import StateServer
from gateway.state.redis.limit_store import RedisLimitStore
from gateway.state.shared.grant import SharedGrant
from gateway.state.shared.limits import SharedLimits

from ...rounds import rounds
from ...valkey import ValkeyServer
from .conftest import told, until
from .faulty_proxy import FaultyProxy

# Of a busy machine: what a time-out does is tested where time-outs are.
TIMEOUT = 1.0


@asynccontextmanager
async def each_by_a_proxy(
    valkey: ValkeyServer, many: int
) -> AsyncIterator[list[tuple[SharedLimits, FaultyProxy]]]:
    """So many processes, each of which can be cut off by itself."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(many):
            proxy = FaultyProxy(valkey.port)
            await stack.enter_async_context(proxy.listening())
            store = RedisLimitStore(StateServer(url=proxy.url))
            limits = SharedLimits(store, random.random, processes=many, timeout=TIMEOUT)
            found.append((limits, proxy))
        async with trio.open_nursery() as nursery:
            for limits, _ in found:
                await nursery.start(limits.run)
            yield found
            nursery.cancel_scope.cancel()


async def degraded(limits: SharedLimits, scopes: tuple[Scope, ...]) -> None:
    """Have it find out that nobody answers."""
    with trio.fail_after(20):
        while not limits.degraded:
            grant = await limits.admit(scopes, Demand(), 60.0)
            if isinstance(grant, SharedGrant):
                await limits.void(grant)


async def reached(limits: SharedLimits) -> None:
    await until(lambda: not limits.degraded)


@pytest.mark.slow
async def test_one_that_was_cut_off_is_counted_when_it_is_back(valkey: ValkeyServer) -> None:
    """A partition: one process keeps to its share, the others go on with the server."""
    rpm = 120
    limited = (Scope("token:a", ScopeLimits(rpm=rpm), Budget(usd=1.0, window="total")),)
    for _ in range(rounds(1, 5)):
        valkey.command("FLUSHALL")
        async with each_by_a_proxy(valkey, 3) as (cut_off, *others):
            everyone = [cut_off, *others]
            for limits, _ in everyone:
                await reached(limits)
            began, admitted, spent = trio.current_time(), 0, 0

            async def ask(limits: SharedLimits, times: int) -> None:
                nonlocal admitted, spent
                for _ in range(times):
                    grant = await limits.admit(limited, Demand(), 60.0)
                    if isinstance(grant, SharedGrant):
                        admitted += 1
                        spent += 1000
                        await limits.settle(grant, 0, 1000)

            await ask(cut_off[0], 20)
            cut_off[1].swallows = True
            await degraded(cut_off[0], limited)
            async with trio.open_nursery() as nursery:
                for limits, _ in everyone:
                    nursery.start_soon(ask, limits, rpm)
            # The others get what is left, and it gets a third of that.
            due = rpm + (trio.current_time() - began) * rpm / 60
            assert due - 8 <= admitted <= due + rpm / 3 + 8
            cut_off[1].heal()
            await reached(cut_off[0])
            for limits, _ in everyone:
                await told(limits)
            # What it let through is known now: nobody gets anything before that is made good.
            before = admitted
            async with trio.open_nursery() as nursery:
                for limits, _ in everyone:
                    nursery.start_soon(ask, limits, 10)
            due = rpm + (trio.current_time() - began) * rpm / 60
            assert admitted - before <= max(0.0, due - before) + 4
            (status,) = await others[0][0].status(limited, exact=True)
            for limits, _ in everyone:
                await told(limits)
            (status,) = await others[0][0].status(limited, exact=True)
            assert status.budget is not None
            assert (status.budget.spent, status.budget.reserved) == (spent, 0)
            assert status.requests is not None
            assert 0 <= status.requests.remaining <= rpm


async def test_a_server_that_forgets_everything_is_told_again(valkey: ValkeyServer) -> None:
    limited = (Scope("token:a", ScopeLimits(rpm=60, max_concurrent=4)),)
    async with each_by_a_proxy(valkey, 2) as ((one, _), (two, _)):
        await until(lambda: not one.degraded and not two.degraded)
        held = [await one.admit(limited, Demand(), 60.0) for _ in range(3)]
        valkey.command("FLUSHALL")
        # Until the next renewal of leases, which is every 30 s, it knows of none.
        await one.renew(held, 60.0)
        await told(one)
        fourth = await two.admit(limited, Demand(), 60.0)
        assert isinstance(fourth, SharedGrant)
        assert isinstance(await two.admit(limited, Demand(), 60.0), LimitRefusal)
        for each in held:
            await one.settle(each, 0, 0)
        await two.void(fourth)
        valkey.command("FLUSHALL")
        # What ends twice, or is ended where it is not known, makes no count negative.
        for each in held:
            await one.settle(each, 0, 0)
        await told(one)
        await told(two)
        grants = [await two.admit(limited, Demand(), 60.0) for _ in range(5)]
        assert [isinstance(each, SharedGrant) for each in grants] == [True] * 4 + [False]
        (status,) = await two.status(limited, exact=True)
        assert status.requests is not None
        assert 0 <= status.requests.remaining <= 60


async def test_a_server_that_is_full_fails_nobody(valkey: ValkeyServer) -> None:
    """It refuses a script whose first write may take memory, and lets others pass."""
    for limits_of_scope in (ScopeLimits(rpm=100_000), ScopeLimits(rpm=100_000, max_concurrent=50)):
        scopes = (Scope(f"token:{limits_of_scope.max_concurrent}", limits_of_scope),)
        async with each_by_a_proxy(valkey, 1) as ((limits, _),):
            await reached(limits)
            valkey.command("CONFIG", "SET", "maxmemory", "1")
            try:
                for _ in range(20):
                    grant = await limits.admit(scopes, Demand(), 60.0)
                    assert isinstance(grant, SharedGrant)
                    await limits.settle(grant, 1, 1)
                if limits_of_scope.max_concurrent is None:
                    assert limits.decided_alone
                    assert "OOM" in limits.link.reason
            finally:
                valkey.command("CONFIG", "SET", "maxmemory", "0")
            await reached(limits)
            await told(limits)
