"""What runs beside the requests: tasks that are started again, and queues that a thread empties."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, NamedTuple, TypeVar

import structlog
import trio

# Seconds until a task that failed is started again.
AGAIN: Final = 1.0

_log = structlog.get_logger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


async def persist(run: Callable[[], Awaitable[object]]) -> None:
    """Run a task that must not take the gateway with it, whatever it meets; again if it failed."""
    while True:
        try:
            await run()
        except Exception:  # noqa: BLE001  # logged whole; requests go on
            _log.exception("a task failed and is started again", task=repr(run))
            await trio.sleep(AGAIN)
        else:
            return


class SpoolPace(NamedTuple):
    """When a `Spooler` writes, and how much at a time. Durations are in seconds."""

    # At most so many items are one batch.
    batch: int
    # How long the first item waits for others, unless they are a batch.
    gather: float = 0.0
    # From a batch until the next, where `_settle` asked for a pause.
    pause: float = 0.0
    # How long a batch may take before `_late` is called.
    patience: float = math.inf
    # For what is left when the task is cancelled.
    flush: float = 5.0


class Spooler(Generic[Item, Result]):
    """A queue of items that one worker thread at a time writes, so that the event loop need not.

    At most `limit` items wait. Where there is no room the oldest is dropped, and counted in
    `dropped`. A thread hop costs some 200 µs, which a batch shares.

    A thread that is late, or at work when the task is cancelled, is left to itself: a pipe, disk
    or server that hangs must not hold up the exit. The next batch waits until that thread has
    ended, so that two never write at the same time.

    What is written, and how, is a subclass's. It has `_write` and `_settle`, and may have the
    other hooks. All but `_write` are called on the event loop.
    """

    def __init__(self, limit: int, pace: SpoolPace) -> None:
        self.dropped = 0
        self._limit = limit
        self._pace = pace
        self._waiting: deque[Item] = deque()
        self._arrived = trio.Event()
        self._full = trio.Event()
        # Not Trio's own limiter, where dozens of DNS queries that hang would hold up the items.
        self._limiter = trio.CapacityLimiter(1)
        self._batch: _Batch[Item, Result] | None = None

    # What a subclass says...

    def _write(self, items: list[Item]) -> Result:
        """Write a batch. Runs in the thread.

        If it raises, which is a mistake of ours, `items` are dropped.
        """
        raise NotImplementedError

    def _settle(self, items: list[Item], result: Result) -> bool:
        """Take note of a batch that is over.

        True asks for the next batch at once, False for a pause, and at the end for no other.
        """
        raise NotImplementedError

    def _take(self, waiting: deque[Item]) -> list[Item]:
        """Take the next batch out of `waiting`, which holds something."""
        return [waiting.popleft() for _ in range(min(len(waiting), self._pace.batch))]

    def _drop(self, item: Item) -> int:
        """Let go of an item that was not written; return how much it adds to `dropped`."""
        return 1

    def _late(self) -> None:
        """Take note of a batch that has taken too long, and whose thread goes on."""

    def _give_up(self, dropped: list[Item], taken: list[Item]) -> None:
        """Take note, when the task ends, of what was dropped and what a thread still writes."""

    # What others call...

    @property
    def waiting(self) -> int:
        """How many items are in the queue. Those that the thread has are not."""
        return len(self._waiting)

    def put(self, item: Item) -> None:
        """Queue `item`; the oldest one goes if there is no room."""
        if len(self._waiting) >= self._limit:
            self._drop_all([self._waiting.popleft()])
        self._waiting.append(item)
        self._arrived.set()
        if len(self._waiting) >= self._pace.batch:
            self._full.set()

    async def run(self) -> None:
        """Write for ever; cancelled, write what is left within the pace's `flush` seconds."""
        try:
            await persist(self._write_for_ever)
        finally:
            with trio.move_on_after(self._pace.flush, shield=True):
                await persist(self._write_all)
            dropped, taken = [*self._waiting], self._batch.items if self._batch else []
            self._waiting.clear()
            self._batch = None
            self._drop_all(dropped)
            self._give_up(dropped, taken)

    async def _write_for_ever(self) -> None:
        while True:
            if not self._waiting and self._batch is None:
                self._arrived = trio.Event()
                await self._arrived.wait()
            if len(self._waiting) < self._pace.batch:
                self._full = trio.Event()
                with trio.move_on_after(self._pace.gather):
                    await self._full.wait()
            if not await self._write_all():
                await trio.sleep(self._pace.pause)

    async def _write_all(self) -> bool:
        """Write what waits, batch by batch; False says that a pause was asked for."""
        while self._waiting or self._batch is not None:
            was_left = self._batch is not None
            with trio.move_on_after(self._pace.patience) as scope:
                batch = await self._hop()
            if scope.cancelled_caught:
                self._late()
                return False
            self._batch = None
            # What comes of a thread that was left to itself is no reason for a pause.
            if not self._settled(batch) and not was_left:
                return False
        return True

    async def _hop(self) -> _Batch[Item, Result]:
        """Return the next batch once it is over, or the one that was left to its thread."""
        async with self._limiter:
            pass  # no thread is at work any more
        # Kept: if the hop is cancelled, the thread goes on with it.
        batch = self._batch = self._batch or _Batch(self._take(self._waiting))
        if not batch.begun:
            await trio.to_thread.run_sync(
                self._write_batch, batch, abandon_on_cancel=True, limiter=self._limiter
            )
        return batch

    def _write_batch(self, batch: _Batch[Item, Result]) -> None:
        batch.begun = True
        batch.results.append(self._write(batch.items))

    def _settled(self, batch: _Batch[Item, Result]) -> bool:
        if batch.results:
            return self._settle(batch.items, batch.results[0])
        self._drop_all(batch.items)
        return False

    def _drop_all(self, items: list[Item]) -> None:
        self.dropped += sum(map(self._drop, items))


class _Batch(Generic[Item, Result]):
    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.begun = False
        # What `_write` returned; empty if it raised.
        self.results: list[Result] = []
