"""Room for request bodies: bounded for all and for each caller, in turn, and never lost."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.config.keys.tables import Token
from gateway.config.listener.server import Server
from gateway.config.schema import Config, LimitsConfig
from gateway.core.limits.shedding import OverloadPolicy
from gateway.errors import Overloaded
from gateway.proxy.traffic.body_memory import SMALL, BodyHold, BodyMemory

MIB = 1024 * 1024


def memory(
    limit: int | None = 8 * MIB, *, tokens: bool = False, max_queue: int = 100
) -> BodyMemory:
    found = BodyMemory()
    found.configure(
        Config(
            server=Server(max_body_bytes=2 * MIB),
            limits=LimitsConfig(max_queue=max_queue, queue_timeout=2),
            overload=OverloadPolicy(max_body_memory=limit),
            tokens=(Token(name="t", key="k"),) if tokens else (),
        )
    )
    return found


def hold(of: BodyMemory, caller: str = "a") -> BodyHold:
    return BodyHold(of, caller, lambda: 0.5)


async def test_what_has_no_room_waits_shortly_and_is_told_to_come_back(
    autojump_clock: MockClock,
) -> None:
    room = memory()
    holds = [hold(room) for _ in range(4)]
    for each in holds:
        await each.grow(2 * MIB)
    late = hold(room)
    with pytest.raises(Overloaded) as refused:
        await late.grow(MIB)
    assert trio.current_time() == 2
    assert refused.value.status == 503
    assert refused.value.retry_after == 3
    late.release()
    for each in holds:
        each.release()
    assert room.held == 0


async def test_room_that_is_given_back_goes_to_who_waits_in_turn(
    autojump_clock: MockClock,
) -> None:
    room = memory()
    held = hold(room)
    await held.grow(8 * MIB)
    came: list[tuple[str, float]] = []

    async def wait(name: str, size: int) -> None:
        await hold(room, name).grow(size)
        came.append((name, trio.current_time()))

    async with trio.open_nursery() as nursery:
        for name, size in (("large", 7), ("second", 1), ("third", 1)):
            nursery.start_soon(wait, name, size * MIB)
            await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(1)
        held.release()
        await trio.testing.wait_all_tasks_blocked()
        # Both at once: which of the two runs first is Trio's choice.
        assert sorted(came) == [("large", 1), ("second", 1)]
        # It would fit in, but others came before.
        assert not room.take_nowait("fourth", MIB)
        nursery.cancel_scope.cancel()
    assert room.held == 8 * MIB


@pytest.mark.parametrize("size", [1, SMALL])
async def test_small_bodies_count_and_never_wait(size: int) -> None:
    room = memory()
    await hold(room).grow(8 * MIB)
    await hold(room).grow(size)
    assert room.held == 8 * MIB + size


async def test_one_caller_takes_half_of_the_room_where_callers_are_told_apart(
    autojump_clock: MockClock,
) -> None:
    room = memory(tokens=True)
    await hold(room, "greedy").grow(4 * MIB)
    async with trio.open_nursery() as nursery:

        async def ask_for_more() -> None:
            with pytest.raises(Overloaded):
                await hold(room, "greedy").grow(MIB)

        nursery.start_soon(ask_for_more)
        await trio.testing.wait_all_tasks_blocked()
        # Another caller's does not wait behind it.
        await hold(room, "other").grow(2 * MIB)
        assert trio.current_time() == 0


async def test_without_tokens_one_caller_has_all_of_it() -> None:
    await hold(memory()).grow(8 * MIB)


async def test_a_full_line_refuses_at_once(autojump_clock: MockClock) -> None:
    room = memory(max_queue=0)
    await hold(room).grow(8 * MIB)
    with pytest.raises(Overloaded):
        await hold(room).grow(MIB)
    assert trio.current_time() == 0


@pytest.mark.parametrize("limit", [1, MIB])
async def test_the_largest_body_fits_in_alone(limit: int) -> None:
    await hold(memory(limit)).grow(2 * MIB)


async def test_no_limit() -> None:
    for limit in (0, None):
        await hold(memory(limit)).grow(1 << 50)


async def test_who_leaves_the_line_takes_nothing_along(autojump_clock: MockClock) -> None:
    room = memory()
    held = hold(room)
    await held.grow(8 * MIB)
    left = hold(room)
    for granted in (False, True):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(left.grow, 2 * MIB)
                await trio.testing.wait_all_tasks_blocked()
                if granted:
                    held.release()
                scope.cancel()
    left.release()
    assert room.held == 0


async def test_a_shared_call_keeps_the_room_of_its_first_caller() -> None:
    room = memory()
    first = hold(room)
    await first.grow(MIB)
    call = first.shared()
    first.release()
    assert room.held == MIB
    call.release()
    assert room.held == 0


async def test_a_body_of_unknown_length_grows() -> None:
    room = memory()
    body = hold(room)
    for size in (SMALL, 2 * SMALL, SMALL, MIB):
        await body.grow(size)
    assert room.held == MIB
    body.release()
    assert room.held == 0


async def test_a_caller_has_no_more_bodies_read_than_it_may_have_at_once(
    autojump_clock: MockClock,
) -> None:
    """24 uploads of a token with `max_concurrent = 1`: two are read, the others wait."""
    room = memory(100 * MIB)
    refused = 0

    async def upload(each: BodyHold) -> None:
        nonlocal refused
        try:
            await each.grow(2 * MIB)
        except Overloaded:
            refused += 1

    async with trio.open_nursery() as nursery:
        for _ in range(24):
            nursery.start_soon(upload, BodyHold(room, "one", lambda: 0.5, 1))
        await trio.testing.wait_all_tasks_blocked()
        assert room.held == 4 * MIB
        # Another caller is not kept waiting for it.
        await BodyHold(room, "two", lambda: 0.5, 5).grow(2 * MIB)
    assert refused == 22


async def test_small_bodies_wait_for_none_of_it(autojump_clock: MockClock) -> None:
    room = memory(100 * MIB)
    for _ in range(100):
        await BodyHold(room, "one", lambda: 0.5, 1).grow(SMALL)
    assert room.held == 100 * SMALL
