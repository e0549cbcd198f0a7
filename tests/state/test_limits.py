from __future__ import annotations

import math
import time

import pytest
import trio
from trio.testing import MockClock, assert_no_checkpoints

from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import Demand, Grant, LimitKind, LimitRefusal, Scope, ScopeLimits
from gateway.state.limits import MemoryLimits

SCOPE = Scope("token:a", ScopeLimits(rpm=10, tpm=1000, max_concurrent=1))


async def granted(limits: MemoryLimits, demand: Demand, expires_in: float = math.inf) -> Grant:
    found = await limits.admit([SCOPE], demand, expires_in)
    assert isinstance(found, Grant)
    return found


async def remaining(limits: MemoryLimits) -> int:
    (status,) = await limits.status([SCOPE])
    assert status.tokens is not None
    return status.tokens.remaining


async def test_limits_are_kept_by_scope_and_forgotten_with_it(autojump_clock: MockClock) -> None:
    limits = MemoryLimits()
    grant = await granted(limits, Demand(tokens=100))
    assert repr(limits) == "<MemoryLimits <Ledger of 1 accounts, 1 held>>"
    assert isinstance(await limits.admit([SCOPE], Demand()), LimitRefusal)
    await limits.settle(grant, 400, 0)
    assert repr(limits) == "<MemoryLimits <Ledger of 1 accounts, 0 held>>"
    assert await remaining(limits) == 600
    await limits.void(await granted(limits, Demand(tokens=100)))
    assert await remaining(limits) == 600
    await limits.retain(["token:a"])
    assert await remaining(limits) == 600
    await limits.retain([])
    assert await remaining(limits) == 1000


async def test_a_released_grant_is_settled_later_and_once(autojump_clock: MockClock) -> None:
    limits = MemoryLimits()
    grant = await granted(limits, Demand(tokens=100))
    await limits.release(grant)
    await limits.release(grant)
    other = await granted(limits, Demand(tokens=100))
    for tokens in (300, 900):
        await limits.settle(grant, tokens, 0)
    await limits.void(grant)
    await limits.void(other)
    assert await remaining(limits) == 700


async def test_no_call_waits() -> None:
    limits = MemoryLimits()
    assert not limits.waits
    with assert_no_checkpoints():
        one = await granted(limits, Demand())
        await limits.release(one)
        other = await granted(limits, Demand())
        await limits.settle(one, 1, 1)
        await limits.void(other)
        await limits.status([SCOPE])
        await limits.recall([(SCOPE, 1)], 0.0)
        await limits.retain([])


async def test_the_clocks_are_its_own() -> None:
    now, epoch = 5.0, 86_400.0 * 20_000
    limits = MemoryLimits(lambda: now, lambda: epoch)
    paying = Scope("token:b", ScopeLimits(rpm=1), Budget(usd=1, window="day"))
    grant = await limits.admit([paying], Demand())
    assert isinstance(grant, Grant)
    await limits.settle(grant, 0, 1_000_000_000)
    now = 65.0
    refused = await limits.admit([paying], Demand())
    assert isinstance(refused, LimitRefusal)
    assert (refused.kind, refused.retry_after) == (LimitKind.BUDGET, 86_400)
    epoch += 86_400
    assert isinstance(await limits.admit([paying], Demand()), Grant)


async def test_what_is_on_record_is_taken_note_of() -> None:
    limits = MemoryLimits()
    paying = Scope("token:b", ScopeLimits(), Budget(usd=1, window="total"))
    await limits.recall([(paying, 400_000_000)], time.time())
    assert isinstance(await limits.admit([paying], Demand()), Grant)
    await limits.recall([(paying, 1_000_000_000)], time.time())
    assert isinstance(await limits.admit([paying], Demand()), LimitRefusal)


@pytest.mark.parametrize("expires_in", [30.0, math.inf])
async def test_a_grant_that_is_never_settled_expires_by_itself(
    autojump_clock: MockClock, expires_in: float
) -> None:
    limits = MemoryLimits()
    lost = await granted(limits, Demand(tokens=100), expires_in)
    await trio.sleep(29.5)
    assert isinstance(await limits.admit([SCOPE], Demand()), LimitRefusal)
    await trio.sleep(0.5)
    found = await limits.admit([SCOPE], Demand())
    assert isinstance(found, LimitRefusal if expires_in == math.inf else Grant)
    if isinstance(found, Grant):
        # It counts all the same, beyond the reserve, which the bucket has long made up for.
        await limits.settle(lost, 400, 0)
        assert limits.ledger.held() == 1
        assert await remaining(limits) == 1000 - (400 - 100)
