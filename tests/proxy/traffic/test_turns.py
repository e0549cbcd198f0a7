"""A request waits for a place of its own caller: shortly, in turn, and only so many."""

from __future__ import annotations

import time

import pytest
import trio
import trio.lowlevel
import trio.testing
from trio.testing import MockClock

from gateway.core.limits.ledger import Demand, LimitKind, LimitRefusal, Scope, ScopeLimits
from gateway.proxy.traffic.turns import LONGEST, PATIENCE, SPARE, Turns
from gateway.state.limits import MemoryLimits


class Key:
    """A key with `most` requests at once, and what came of each request: when it was let in."""

    def __init__(self, most: int = 1, *, rpm: int | None = None) -> None:
        self.turns = Turns()
        self.limits = MemoryLimits()
        self.scopes = [Scope("token:t", ScopeLimits(rpm=rpm, max_concurrent=most))]
        self.came: list[tuple[int, float | LimitKind]] = []

    async def ask(self, number: int = 0, lasts: float = 0.0) -> None:
        granted = await self.turns.admitted(
            self.scopes, lambda: self.limits.admit(self.scopes, Demand())
        )
        if isinstance(granted, LimitRefusal):
            self.came.append((number, granted.kind))
            return
        self.came.append((number, trio.current_time()))
        await trio.sleep(lasts)
        await self.limits.release(granted)


async def test_a_place_that_becomes_free_is_taken_within_milliseconds(
    autojump_clock: MockClock,
) -> None:
    key = Key()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(key.ask, 1, 0.005)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(key.ask, 2)
    (_, (number, at)) = key.came
    assert number == 2
    assert isinstance(at, float)
    assert 0.005 <= at <= 0.012
    assert repr(key.turns) == "<Turns of 0 requests>"
    assert key.limits.ledger.held() == 0


async def test_a_place_that_stays_taken_is_waited_for_no_longer(autojump_clock: MockClock) -> None:
    key = Key()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(key.ask, 1, 10)
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        await key.ask(2)
        assert trio.current_time() - began == pytest.approx(PATIENCE)
    assert key.came[1] == (2, LimitKind.CONCURRENT)


async def test_few_more_wait_than_have_a_place(autojump_clock: MockClock) -> None:
    key = Key(3)
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(key.ask, number, 0.05)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(3, 20):
            nursery.start_soon(key.ask, number)
        await trio.testing.wait_all_tasks_blocked()
        # The rest is told at once.
        told = 17 - 3 - SPARE
        assert [kind for _, kind in key.came[3:]] == [LimitKind.CONCURRENT] * told
        assert trio.current_time() == 0
    assert len([at for _, at in key.came if isinstance(at, float)]) == 6 + SPARE


async def test_those_who_gave_up_as_well_take_no_place_in_the_line(
    autojump_clock: MockClock,
) -> None:
    key = Key()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(key.ask, 1, 0.03)
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as gone:
            for number in range(2, 2 + SPARE):
                gone.start_soon(key.ask, number)
                await trio.sleep(0.001)
            nursery.start_soon(key.ask, 100, 1.0)
            await trio.sleep(0.02)
            gone.cancel_scope.cancel()
    number, at = key.came[-1]
    assert number == 100
    assert isinstance(at, float)
    assert at < 0.06


async def test_a_loop_that_is_late_shortens_no_wait() -> None:
    key = Key()
    late = 2 * PATIENCE

    granted = await key.limits.admit(key.scopes, Demand())
    assert not isinstance(granted, LimitRefusal)

    async def give_back() -> None:
        await trio.testing.wait_all_tasks_blocked()
        # Nothing runs meanwhile, so the end of that request is noticed as late.
        time.sleep(late)  # noqa: ASYNC251
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        await key.limits.release(granted)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_back)
        await key.ask(2)
    assert isinstance(key.came[0][1], float)
    assert late < LONGEST


@pytest.mark.measured
async def test_there_is_a_longest_wait_all_the_same() -> None:
    key = Key()
    granted = await key.limits.admit(key.scopes, Demand())
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stutter)
        await key.ask(2)
        nursery.cancel_scope.cancel()
    assert key.came == [(2, LimitKind.CONCURRENT)]
    assert trio.current_time() - began < LONGEST + 0.5
    assert not isinstance(granted, LimitRefusal)
    await key.limits.release(granted)


async def stutter() -> None:
    while True:
        time.sleep(0.1)  # noqa: ASYNC251
        await trio.lowlevel.checkpoint()


async def test_no_one_overtakes(autojump_clock: MockClock) -> None:
    key = Key(2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(key.ask, 1, 0.015)
        nursery.start_soon(key.ask, 2, 1)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(key.ask, 3, 1)
        # The place is free now, but number 3 has not asked again.
        await trio.sleep_until(0.0151)
        nursery.start_soon(key.ask, 4)
    assert sorted(number for number, at in key.came if isinstance(at, float)) == [1, 2, 3]
    assert key.came[-1] == (4, LimitKind.CONCURRENT)


async def test_other_limits_are_not_waited_for(autojump_clock: MockClock) -> None:
    key = Key(rpm=1)
    await key.ask(1)
    await key.ask(2)
    assert key.came == [(1, 0.0), (2, LimitKind.REQUESTS)]
    assert trio.current_time() == 0


async def test_who_leaves_the_line_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    key = Key()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(key.ask, 1, 1)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.05):
            await key.ask(2)
        assert repr(key.turns) == "<Turns of 0 requests>"
    assert key.limits.ledger.held() == 0
    await key.ask(3)
    assert key.came[-1] == (3, 1.0)
