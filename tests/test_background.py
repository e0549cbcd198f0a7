from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import structlog.testing
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.background import AGAIN, Spooler, SpoolPace, persist


async def test_a_task_that_fails_is_started_again(autojump_clock: MockClock) -> None:
    began: list[float] = []

    async def run() -> None:
        began.append(trio.current_time())
        if len(began) < 3:
            raise KeyError("what nobody has thought of")

    with structlog.testing.capture_logs() as logs:
        await persist(run)
    assert [later - began[0] for later in began] == [0, AGAIN, 2 * AGAIN]
    assert [line["log_level"] for line in logs] == ["error", "error"]


class Disk:
    """Where `Numbers` are written: it can hang, and says what was written."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Event()
        self.free = threading.Event()
        self.free.set()
        self.at_work = 0
        self.error: Exception | None = None

    def write(self, items: list[int]) -> int:
        self.at_work += 1
        assert self.at_work == 1
        self.begun.set()
        self.free.wait(20)
        self.at_work -= 1
        if self.error is not None:
            raise self.error
        self.batches.append(list(items))
        return len(items)

    @property
    def written(self) -> list[int]:
        return [number for batch in self.batches for number in batch]


class Numbers(Spooler[int, int]):
    """Keeps account of what has become of each number."""

    def __init__(
        self,
        disk: Disk,
        limit: int = 1000,
        pace: SpoolPace = SpoolPace(100),  # noqa: B008  # it is immutable
    ) -> None:
        super().__init__(limit, pace)
        self.disk = disk
        self.settled: list[int] = []
        self.let_go: list[int] = []
        self.given_up: list[tuple[list[int], list[int]]] = []
        self.late = 0
        self.goes_on = True

    def _write(self, items: list[int]) -> int:
        return self.disk.write(items)

    def _settle(self, items: list[int], result: int) -> bool:
        assert result == len(items)
        self.settled += items
        return self.goes_on

    def _drop(self, item: int) -> int:
        self.let_go.append(item)
        return 1

    def _late(self) -> None:
        self.late += 1

    def _give_up(self, dropped: list[int], taken: list[int]) -> None:
        self.given_up.append((dropped, taken))


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    # No thread outlives its test.
    made.free.set()


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110  # another thread makes it so
            await trio.sleep(0.002)


async def until_begun(disk: Disk) -> None:
    assert await trio.to_thread.run_sync(disk.begun.wait, 10)


async def run_cancelled(spooler: Spooler[int, int]) -> None:
    with trio.CancelScope() as scope:
        scope.cancel("at once")
        await spooler.run()


def put(spooler: Spooler[int, int], numbers: range) -> None:
    for number in numbers:
        spooler.put(number)


async def test_batches_are_written_in_order(disk: Disk, nursery: trio.Nursery) -> None:
    spooler = Numbers(disk)
    put(spooler, range(250))
    nursery.start_soon(spooler.run)
    await until(lambda: len(spooler.settled) == 250)
    spooler.put(250)
    await until(lambda: len(spooler.settled) == 251)
    assert spooler.settled == disk.written == list(range(251))
    assert [len(batch) for batch in disk.batches] == [100, 100, 50, 1]
    assert (spooler.waiting, spooler.dropped) == (0, 0)


async def test_the_oldest_go_where_there_is_no_room(disk: Disk) -> None:
    spooler = Numbers(disk, limit=3)
    put(spooler, range(5))
    assert (spooler.waiting, spooler.dropped, spooler.let_go) == (3, 2, [0, 1])
    await run_cancelled(spooler)
    assert spooler.settled == disk.written == [2, 3, 4]


async def test_a_thread_that_hangs_holds_one_batch_and_the_queue_its_limit(
    disk: Disk, nursery: trio.Nursery
) -> None:
    disk.free.clear()
    spooler = Numbers(disk, limit=10)
    nursery.start_soon(spooler.run)
    spooler.put(0)
    await until_begun(disk)
    put(spooler, range(1, 1001))
    assert (spooler.waiting, spooler.dropped) == (10, 990)
    disk.free.set()
    await until(lambda: len(spooler.settled) == 11)
    assert disk.written == [0, *range(991, 1001)]
    assert spooler.let_go == list(range(1, 991))


async def test_what_is_left_is_written_when_it_is_cancelled(disk: Disk) -> None:
    spooler = Numbers(disk)
    put(spooler, range(250))
    await run_cancelled(spooler)
    assert spooler.settled == disk.written == list(range(250))
    assert spooler.given_up == [([], [])]


async def test_the_flush_has_a_deadline(disk: Disk, autojump_clock: MockClock) -> None:
    disk.free.clear()
    spooler = Numbers(disk, pace=SpoolPace(2, flush=3))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spooler.run)
        put(spooler, range(5))
        await until_begun(disk)
        began = trio.current_time()
        nursery.cancel_scope.cancel("stop")
    assert trio.current_time() - began == 3
    # The thread may still get there with what it has: that is not among what is dropped.
    assert spooler.given_up == [([2, 3, 4], [0, 1])]
    assert spooler.let_go == [2, 3, 4]
    assert (spooler.waiting, spooler.dropped, spooler.settled) == (0, 3, [])


async def test_the_flush_waits_for_a_thread_that_was_left_to_itself(disk: Disk) -> None:
    """What comes next is not written in the middle of it (`Disk.write` would fail)."""
    disk.free.clear()
    spooler = Numbers(disk)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spooler.run)
        put(spooler, range(3))
        await until_begun(disk)
        put(spooler, range(3, 6))
        nursery.cancel_scope.cancel("stop")
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await trio.sleep(0.05)
            assert disk.batches == []
            disk.free.set()
    assert disk.batches == [[0, 1, 2], [3, 4, 5]]
    assert spooler.settled == list(range(6))


async def test_a_spooler_that_was_given_up_can_run_again(disk: Disk) -> None:
    disk.free.clear()
    spooler = Numbers(disk, pace=SpoolPace(10, flush=0.05))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spooler.run)
        spooler.put(0)
        await until_begun(disk)
        nursery.cancel_scope.cancel("stop")
    spooler.put(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spooler.run)
        await trio.sleep(0.05)
        assert disk.batches == []
        disk.free.set()
        await until(lambda: spooler.settled == [1])
        nursery.cancel_scope.cancel("stop")
    # Neither is the batch that was given up accounted for twice.
    assert disk.batches == [[0], [1]]
    assert spooler.given_up == [([], [0]), ([], [])]


async def test_a_late_batch_is_told_of_and_nothing_passes_it(
    disk: Disk, nursery: trio.Nursery
) -> None:
    disk.free.clear()
    spooler = Numbers(disk, pace=SpoolPace(10, pause=0.01, patience=0.03))
    nursery.start_soon(spooler.run)
    spooler.put(0)
    await until(lambda: spooler.late == 1)
    spooler.put(1)
    await until(lambda: spooler.late == 3)
    assert (spooler.waiting, disk.batches) == (1, [])
    disk.free.set()
    await until(lambda: spooler.settled == [0, 1])
    assert disk.batches == [[0], [1]]


async def test_the_first_item_waits_for_others(disk: Disk, nursery: trio.Nursery) -> None:
    spooler = Numbers(disk, pace=SpoolPace(3, gather=0.1))
    nursery.start_soon(spooler.run)
    put(spooler, range(2))
    await trio.sleep(0.03)
    assert disk.batches == []
    await until(lambda: disk.batches == [[0, 1]])


async def test_a_full_batch_waits_for_no_others(disk: Disk, nursery: trio.Nursery) -> None:
    spooler = Numbers(disk, pace=SpoolPace(3, gather=60))
    nursery.start_soon(spooler.run)
    spooler.put(0)
    await wait_all_tasks_blocked()
    put(spooler, range(1, 3))
    await until(lambda: disk.batches == [[0, 1, 2]])
    put(spooler, range(3, 6))
    await until(lambda: spooler.settled == list(range(6)))


async def test_a_pause_is_made_where_it_is_asked_for(disk: Disk, nursery: trio.Nursery) -> None:
    spooler = Numbers(disk, pace=SpoolPace(2, pause=0.1))
    spooler.goes_on = False
    put(spooler, range(4))
    nursery.start_soon(spooler.run)
    began = trio.current_time()
    await until(lambda: len(spooler.settled) == 4)
    assert trio.current_time() - began >= 0.1
    assert disk.batches == [[0, 1], [2, 3]]


async def test_at_the_end_a_pause_is_the_end(disk: Disk) -> None:
    spooler = Numbers(disk, pace=SpoolPace(2))
    spooler.goes_on = False
    put(spooler, range(5))
    await run_cancelled(spooler)
    assert (spooler.settled, spooler.let_go, spooler.waiting) == ([0, 1], [2, 3, 4], 0)


async def test_a_batch_that_a_mistake_ends_is_dropped_and_the_next_is_not(
    disk: Disk, autojump_clock: MockClock
) -> None:
    disk.error = KeyError("what nobody has thought of")
    spooler = Numbers(disk)
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spooler.run)
            put(spooler, range(3))
            await until_begun(disk)
            await until(lambda: bool(logs))
            disk.error = None
            spooler.put(3)
            await until(lambda: spooler.settled == [3])
            nursery.cancel_scope.cancel("stop")
    assert [line["log_level"] for line in logs] == ["error"]
    assert (spooler.dropped, spooler.let_go) == (3, [0, 1, 2])


@pytest.mark.parametrize("checkpoints", range(40))
async def test_cancelled_at_any_checkpoint_nothing_is_lost_or_counted_twice(
    disk: Disk, checkpoints: int
) -> None:
    spooler = Numbers(disk, limit=7, pace=SpoolPace(2, gather=0.001))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spooler.run)
        put(spooler, range(9))
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel("stop")
    assert spooler.settled == disk.written == list(range(2, 9))
    assert (spooler.let_go, spooler.dropped, spooler.waiting) == ([0, 1], 2, 0)
    assert spooler.given_up == [([], [])]
