"""Several who ask the same at once cause one query."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gateway.dashboard.live.shared import SharedFigures
from gateway.errors import StoreUnavailable


async def test_one_reads_for_all_and_again_when_it_is_old(autojump_clock: MockClock) -> None:
    shared, reads = SharedFigures(), []

    async def read() -> int:
        reads.append(trio.current_time())
        await trio.sleep(1)
        return len(reads)

    found: list[int] = []

    async def ask() -> None:
        found.append(await shared.get("key", 5.0, read))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(ask)
    assert found == [1] * 4
    await trio.sleep(6)
    await ask()
    assert found[-1] == 2
    assert not shared._reading


async def test_whoever_waits_goes_on_when_the_reader_leaves(autojump_clock: MockClock) -> None:
    shared = SharedFigures()

    async def read() -> str:
        await trio.sleep(1)
        return "read"

    found: list[str] = []

    async def ask(seconds: float) -> None:
        with trio.move_on_after(seconds):
            found.append(await shared.get("key", 5.0, read))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 0.5)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, 10)
    assert found == ["read"]
    assert not shared._reading


async def test_all_who_wait_hear_of_an_error_at_once(autojump_clock: MockClock) -> None:
    shared, reads = SharedFigures(), []

    async def read() -> str:
        reads.append(trio.current_time())
        await trio.sleep(10)
        raise StoreUnavailable("The database does not answer.")

    async def ask() -> None:
        with pytest.raises(StoreUnavailable):
            await shared.get("key", 60.0, read)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
    assert trio.current_time() - began == 10
    # But not for as long as a figure is good.
    await trio.sleep(2)
    await ask()
    assert len(reads) == 2


async def test_what_was_asked_before_something_was_done_is_not_kept(
    autojump_clock: MockClock,
) -> None:
    shared, answers = SharedFigures(), ["before", "after"]

    async def read() -> str:
        await trio.sleep(1)
        return answers.pop(0)

    async def ask() -> None:
        assert await shared.get("key", 60.0, read) == "before"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        shared.forget()
    assert await shared.get("key", 60.0, read) == "after"
