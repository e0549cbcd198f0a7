from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from gateway.core.limits.shedding import OverloadPolicy
from gateway.errors import Overloaded
from gateway.lifecycle import Lifecycle
from gateway.proxy.traffic.lag import LoopLag
from gateway.proxy.traffic.overload import Overload


def busy(others: int) -> Lifecycle:
    """Return a lifecycle with so many requests under way, and the one that asks."""
    lifecycle = Lifecycle()
    for _ in range(others + 1):
        lifecycle.exchange(lambda: None).__enter__()
    return lifecycle


def refused(overload: Overload, dice: random.Random) -> bool:
    try:
        overload.check(dice.random)
    except Overloaded:
        return True
    return False


@pytest.mark.parametrize(
    ("lag", "others", "share"),
    [(0.0, 0, 0.0), (0.0, 98, 0.75), (0.0, 100, 1.0), (0.75, 0, 0.5), (2.0, 0, 1.0)],
)
async def test_a_share_of_the_requests_is_refused(lag: float, others: int, share: float) -> None:
    loop_lag = LoopLag()
    loop_lag.value = lag
    policy = OverloadPolicy(lag=0.5, lag_max=1.0, max_in_flight=100)
    overload = Overload(policy, loop_lag, busy(others))
    dice = random.Random(1)
    count = sum(refused(overload, dice) for _ in range(10_000))
    assert count == pytest.approx(10_000 * share, abs=150)
    assert share not in (0.0, 1.0) or count == 10_000 * share


async def test_the_refused_are_told_to_come_back_soon() -> None:
    overload = Overload(OverloadPolicy(max_in_flight=5), LoopLag(), busy(5))
    with pytest.raises(Overloaded, match="too much to do") as caught:
        overload.check(lambda: 0.75)
    error = caught.value
    assert (error.status, error.code, error.retry_after) == (503, "overloaded", 4.0)
    assert error.should_retry is None


async def test_as_many_are_let_in_as_may_be_in_flight() -> None:
    overload = Overload(OverloadPolicy(max_in_flight=1), LoopLag(), busy(0))
    assert not refused(overload, random.Random(1))
    overload = Overload(OverloadPolicy(max_in_flight=1), LoopLag(), busy(1))
    assert refused(overload, random.Random(1))


async def test_a_reload_changes_the_policy() -> None:
    overload = Overload(OverloadPolicy(max_in_flight=10), LoopLag(), busy(10))
    assert refused(overload, random.Random(1))
    overload.policy = OverloadPolicy(max_in_flight=20)
    assert not refused(overload, random.Random(1))
    assert repr(overload) == "<Overload <LoopLag 0.000 s>, <Lifecycle starting, 11 in flight>>"


def test_what_comes_right_after_the_loop_was_stuck_is_refused() -> None:
    clock = MockClock()

    async def main() -> None:
        lag = LoopLag()
        overload = Overload(OverloadPolicy(), lag, busy(0))
        dice = random.Random(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lag.watch)
            await trio.testing.wait_all_tasks_blocked()
            assert not refused(overload, dice)
            clock.jump(1.2)
            assert refused(overload, dice)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
