"""What is not known to be in the database, and its way from memory to the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from .backlog import Backlog
from .batch import Batch
from .queue import WriteQueue

T = TypeVar("T")


class Unwritten:
    """`waiting`, then `batch`, and all of it in `backlog` if that takes too long."""

    def __init__(self, waiting: WriteQueue, backlog: Backlog) -> None:
        self.waiting = waiting
        self.backlog = backlog
        # The batch that is being written from memory, and whether it is also in the journal.
        self.batch: Batch | None = None
        self.is_saved = False
        # Records and audit events that went into the journal.
        self.journaled = 0
        self._saving = trio.Lock()
        # A limiter of its own: the journal must not wait for other threads.
        self._disk = trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<Unwritten {self.waiting}, {self.batch}, {self.backlog}>"

    @property
    def is_idle(self) -> bool:
        """Say whether nothing has to be written before the queue."""
        return self.batch is None and not self.backlog.pending

    @property
    def in_memory(self) -> int:
        return len(self.waiting) + (len(self.batch) if self.batch else 0)

    def hand_over(self) -> bool:
        """Take the next batch from the queue to be written, if nothing comes before it."""
        if not self.is_idle:
            return False
        self.batch, self.is_saved = self.waiting.take(), False
        return True

    async def save(self) -> Exception | None:
        """Put into the journal what is in memory only; return the error if not all went there.

        Never fails: otherwise it would not be known what is in memory only.
        """
        async with self._saving:
            batch = self.batch
            first = [] if batch is None or self.is_saved else [batch]
            others = self.waiting.take_all()
            saved, error = 0, None
            try:
                saved, error = await self.on_disk(lambda: self.backlog.save([*first, *others]))
            except Exception as exc:  # noqa: BLE001  # a thread may not start
                error = exc
            finally:
                self.waiting.put_back(others[max(0, saved - len(first)) :])
            if saved and first and self.batch is batch:
                self.is_saved = True
            self.journaled += sum(map(len, [*first, *others][:saved]))
        return error

    def close(self) -> int:
        """Leave the journal to other processes; return how many items were in memory only: lost."""
        rest = self.waiting.take_all()
        if self.batch is not None and not self.is_saved:
            rest.append(self.batch)
        self.batch = None
        self.backlog.close()
        return sum(map(len, rest))

    async def on_disk(self, work: Callable[[], T]) -> T:
        """Run `work` in the thread for the disk, and return what it returns."""
        return await trio.to_thread.run_sync(work, limiter=self._disk)
