"""Several who ask the same at once cause one query."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from gateway.dashboard.live.shared import SharedFigures


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
