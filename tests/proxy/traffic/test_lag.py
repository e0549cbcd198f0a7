from __future__ import annotations

import time

import pytest
import trio
from trio.testing import MockClock

from gateway.proxy.traffic.lag import TICK, LoopLag


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_a_loop_in_time_has_no_lag(autojump_clock: MockClock) -> None:
    lag = LoopLag()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lag.watch)
        for _ in range(50):
            await trio.sleep(0.07)
            assert lag.value == 0.0
            assert lag.current(trio.current_time()) == 0.0
        nursery.cancel_scope.cancel()


def test_it_rises_at_once_and_falls_slowly() -> None:
    clock = MockClock()
    lag = LoopLag()
    values = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lag.watch)
            await settle()
            for late in (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.1):
                clock.jump(TICK + late)
                await settle()
                values.append(round(lag.value, 3))
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
    assert values == [0.0, 1.0, 0.7, 0.49, 0.343, 0.24, 0.5, 0.38]


def test_it_is_seen_before_the_watch_has_run() -> None:
    clock = MockClock()
    lag = LoopLag()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lag.watch)
            await settle()
            clock.jump(0.05)
            assert lag.current(trio.current_time()) == 0.0
            clock.jump(0.75)
            assert lag.value == 0.0
            assert lag.current(trio.current_time()) == pytest.approx(0.7)
            await settle()
            assert lag.value == pytest.approx(0.7)
            # What is known already is not forgotten while the next tick is less late.
            clock.jump(0.3)
            assert lag.current(trio.current_time()) == pytest.approx(0.7)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
    assert repr(lag) == "<LoopLag 0.000 s>"


async def test_without_a_watch_there_is_no_lag(autojump_clock: MockClock) -> None:
    lag = LoopLag()
    assert lag.current(trio.current_time()) == 0.0
    with trio.move_on_after(1):
        await lag.watch()
    await trio.sleep(60)
    assert lag.current(trio.current_time()) == 0.0


@pytest.mark.measured
async def test_a_blocked_loop_is_noticed_for_real() -> None:
    lag = LoopLag()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lag.watch)
        await trio.sleep(0.25)
        calm = lag.current(trio.current_time())
        time.sleep(0.3)  # noqa: ASYNC251  # the very thing that must be noticed
        seen = lag.current(trio.current_time())
        await trio.sleep(0.01)
        noted = lag.value
        nursery.cancel_scope.cancel()
    # The tick was due within a tenth of a second of the sleep's begin.
    assert seen >= 0.2
    assert noted >= 0.2
    assert calm < seen
