from __future__ import annotations

import math
import time

import pytest
import trio
from trio.testing import MockClock

from gateway.stops import UNNOTICED, RunningScope, Stops, running_after, stops

from .stopping import stopped_at


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("slept", "took", "stopped"),
    [
        (0.0, 0.01, 0.0),
        (0.25, 0.25, 0.0),
        (0.25, 0.001, 0.0),
        (0.25, 0.25 + UNNOTICED, 0.0),
        (0.25, 10.0 + 0.25 + UNNOTICED, 10.0),
        (0.0, 10.0 + UNNOTICED, 10.0),
    ],
)
def test_a_pass_that_took_longer_than_it_meant_to(
    slept: float, took: float, stopped: float
) -> None:
    clock = Seconds()
    watching = Stops(clock)
    # The first says nothing: when the pass before it began is not known.
    watching.after_io_wait(0.0)
    clock.now += took
    watching.after_io_wait(slept)
    assert watching.total == pytest.approx(stopped)


async def test_a_wait_does_not_count_it(autojump_clock: MockClock) -> None:
    async with stopped_at(autojump_clock, 3.0, 20.0):
        with running_after(5.0) as scope:
            await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() == 25.0
        assert stops().total == 20.0


async def test_what_comes_with_the_stop_is_taken(autojump_clock: MockClock) -> None:
    """Trio wakes who has waited and who is too late in the same pass."""
    async with stopped_at(autojump_clock, 3.0, 20.0):
        for _ in range(2):
            with running_after(5.0):
                await trio.sleep_until(10.0)
                await trio.lowlevel.checkpoint()
                break
        else:
            raise AssertionError("cancelled")
        assert trio.current_time() == 23.0


@pytest.mark.parametrize(("latest", "ends"), [(4.0, 23.0), (10.0, 23.0), (24.0, 24.0), (90, 25.0)])
async def test_not_beyond_the_latest(autojump_clock: MockClock, latest: float, ends: float) -> None:
    async with stopped_at(autojump_clock, 3.0, 20.0):
        with RunningScope(5.0, latest):
            await trio.sleep_forever()
        assert trio.current_time() == ends


async def test_a_deadline_that_is_set_inside_moves_as_well(autojump_clock: MockClock) -> None:
    async with stopped_at(autojump_clock, 3.0, 20.0):
        with RunningScope() as scope:
            assert scope.deadline == math.inf
            await trio.sleep(1)
            scope.deadline = trio.current_time() + 5
            await trio.sleep_forever()
        assert trio.current_time() == 26.0


async def test_a_wait_that_began_later_counts_all(autojump_clock: MockClock) -> None:
    async with stopped_at(autojump_clock, 0.0, 20.0):
        await trio.sleep(30)
        began = trio.current_time()
        with running_after(5.0):
            await trio.sleep_forever()
        assert trio.current_time() == began + 5.0


async def test_without_a_watch_deadlines_are_plain(autojump_clock: MockClock) -> None:
    with running_after(5.0):
        autojump_clock.jump(20.0)
        await trio.sleep_forever()
    assert trio.current_time() == 20.0
    assert "0 waits" in repr(stops())


async def test_a_loop_that_is_held_up_is_timed() -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(Stops().watch)
        with running_after(0.7) as scope:
            await trio.sleep(0.01)
            time.sleep(UNNOTICED + 1.0)  # noqa: ASYNC251  # it stands for a stop
            # Two passes: the stop is found at the end of the first.
            for _ in range(3):
                await trio.lowlevel.checkpoint()
        assert not scope.cancelled_caught
        assert stops().total == pytest.approx(1.0, abs=0.3)
        nursery.cancel_scope.cancel()
    assert stops().total == 0.0


async def test_a_loop_that_is_always_late_gets_on() -> None:
    clock = Seconds()
    watching = Stops(clock)
    scope = trio.CancelScope(deadline=trio.current_time() + 10)
    late = RunningScope(scope.deadline)
    watching.add(late)
    passes = 0
    while clock.now < 160.0:
        clock.now += 3.0
        watching.after_io_wait(0.0)
        passes += 1
    # Each pass counts for `UNNOTICED` at least, so twenty of them are ten seconds.
    assert watching.total == pytest.approx((passes - 1) * (3.0 - UNNOTICED))
