"""Places that several processes share through their supervisor, with real sockets."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from gateway.errors import Overloaded, ShuttingDown
from gateway.group.host_store import HostLimitStore
from gateway.group.limit_host import LimitHost
from gateway.process.shared.limits import slots_of
from gateway.proxy.reservation import Reservations
from gateway.proxy.traffic.slots import Slots
from gateway.state.shared.limits import SharedLimits

LIMIT = 3


class Process:
    def __init__(self, limits: SharedLimits, slots: Slots, scope: trio.CancelScope) -> None:
        self.limits, self.slots, self.scope = limits, slots, scope

    async def take(self, timeout: float = 10.0) -> None:
        deadline = trio.current_time() + timeout
        await self.slots.acquire("c", deadline, random.random)


@pytest.fixture
async def socket(tmp_path: Path, nursery: trio.Nursery) -> Path:
    host = LimitHost(tmp_path / "limits.sock")
    await nursery.start(host.run)
    return tmp_path / "limits.sock"


@asynccontextmanager
async def process(
    socket: Path, processes: int = 2, most: int | None = LIMIT
) -> AsyncIterator[Process]:
    limits = SharedLimits(HostLimitStore(socket), random.random, processes=processes, timeout=2.0)
    made = slots_of(limits)
    assert made is not None
    slots = made("provider a", "places:provider:a", 100, 5.0, Reservations())
    slots.limit = most
    async with trio.open_nursery() as nursery:
        await nursery.start(limits.run)
        yield Process(limits, slots, nursery.cancel_scope)
        await limits.finish()
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.005)


async def test_all_together_have_as_many_as_the_limit(socket: Path) -> None:
    async with process(socket) as one, process(socket) as two:
        under_way = most = 0
        served = {one: 0, two: 0}

        async def request(by: Process) -> None:
            nonlocal under_way, most
            await by.take()
            under_way += 1
            most = max(most, under_way)
            await trio.sleep(0.005)
            under_way -= 1
            by.slots.release()
            served[by] += 1

        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(request, one)
                nursery.start_soon(request, two)
        assert most == LIMIT
        assert served == {one: 60, two: 60}
        assert [(each.slots.held, each.slots.in_use, each.slots.waiting) for each in served] == [
            (0, 0, 0)
        ] * 2


async def test_one_whose_line_never_ends_does_not_keep_the_others_waiting(socket: Path) -> None:
    async with (
        process(socket) as greedy,
        process(socket) as modest,
        trio.open_nursery() as nursery,
    ):

        async def again() -> None:
            while True:
                await greedy.take()
                await trio.sleep(0.01)
                greedy.slots.release()

        for _ in range(20):
            nursery.start_soon(again)
        await until(lambda: greedy.slots.in_use == LIMIT)
        for _ in range(5):
            await modest.take(5.0)
            modest.slots.release()
        nursery.cancel_scope.cancel()


async def test_who_gives_up_leaves_nothing_behind(socket: Path) -> None:
    async with process(socket) as one, process(socket) as two:
        rng = random.Random(3)
        for number in range(60):
            with trio.move_on_after(rng.random() * 0.01), suppress(Overloaded):
                await one.take(rng.random() * 0.02)
                with trio.CancelScope(shield=True):
                    await trio.lowlevel.checkpoint()
                one.slots.release()
            if number % 10 == 9:
                # All places are free again: another process gets each of them.
                for _ in range(LIMIT):
                    await two.take(2.0)
                assert not await one.slots.acquire_at_once()
                for _ in range(LIMIT):
                    two.slots.release()
        assert (one.slots.held, one.slots.in_use) == (0, 0)


async def test_a_wait_has_an_end(socket: Path) -> None:
    async with process(socket, most=1) as one, process(socket, most=1) as two:
        await one.take()
        with pytest.raises(Overloaded, match="none ended in time"):
            await two.take(0.1)
        assert (two.slots.held, two.slots.waiting) == (0, 0)
        assert not await two.slots.acquire_at_once()
        two.slots.max_queue = 0
        with pytest.raises(Overloaded, match="too many are waiting"):
            await two.take()
        two.slots.max_queue = 9

        async def stopped() -> None:
            with pytest.raises(ShuttingDown):
                await two.take()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stopped)
            await until(lambda: two.slots.waiting == 1)
            two.slots.refuse_all()
        one.slots.release()


async def test_places_of_a_process_that_dies_are_free(socket: Path) -> None:
    async with process(socket) as two:
        async with process(socket) as one:
            for _ in range(LIMIT):
                await one.take()
            assert not await two.slots.acquire_at_once()
            one.scope.cancel()
        for _ in range(LIMIT):
            await two.take()


async def test_without_the_others_each_has_its_share(tmp_path: Path) -> None:
    async with process(tmp_path / "nobody", processes=3, most=6) as one:
        assert one.limits.degraded
        await one.take()
        await one.take()
        assert not await one.slots.acquire_at_once()
        one.slots.release()
        assert await one.slots.acquire_at_once()


async def test_limits_come_and_go_with_a_reload(socket: Path) -> None:
    async with process(socket, most=None) as one, process(socket, most=2) as two:
        assert (one.slots.limit, one.slots.shared) == (None, True)
        assert one.slots.acquire_nowait()
        one.slots.limit = 2
        await one.take()
        assert not one.slots.acquire_nowait()
        # What came in before there was a limit has no lease: two are left among all, of which one
        # is taken.
        await two.take()
        assert not await two.slots.acquire_at_once()
        one.slots.release()
        two.slots.release()
        one.slots.limit = None
        assert one.slots.acquire_nowait()
        for _ in range(2):
            one.slots.release()
        assert one.slots.held == 0
        await until_free(two)


async def until_free(of: Process) -> None:
    await of.take(2.0)
    await of.take(2.0)
