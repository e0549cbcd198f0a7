"""A request waits for a place of its own caller: shortly, in turn, and only so many."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.core.limits.ledger import Demand, LimitKind, LimitRefusal, Scope, ScopeLimits
from gateway.proxy.traffic.turns import PATIENCE, Turns
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


async def test_only_as_many_wait_as_have_a_place(autojump_clock: MockClock) -> None:
    key = Key(3)
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(key.ask, number, 0.05)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(3, 20):
            nursery.start_soon(key.ask, number)
        await trio.testing.wait_all_tasks_blocked()
        # The rest is told at once.
        assert [kind for _, kind in key.came[3:]] == [LimitKind.CONCURRENT] * 14
        assert trio.current_time() == 0
    assert len([at for _, at in key.came if isinstance(at, float)]) == 6


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
