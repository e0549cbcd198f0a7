"""The writer of records and audit events, for which no request ever waits.

    record(), audit()  ->  memory  ->  a batch  ->  the database
                             |                          ^
                             +--->  the journal  -------+

Two tasks. The first takes what has gathered as the next batch and hands it to the second, whose
thread writes it to the database. If that takes longer than a moment, since the database is slow,
locked, down or not opened yet, the first task puts this batch and all later ones into the journal
instead: nothing is in memory only for longer than a flush interval. The second task then writes
the journal's batches in their order until it has caught up.

A batch keeps its number wherever it waits. If it is written a second time, because a thread was
abandoned or a server died during its commit, the database shows that it was written before
(`insert.py`). So the numbers must outlive any error: a task ends only when it is cancelled.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from pathlib import Path
from typing import Final

import structlog
import trio

from ...core.records.audit import AuditEvent
from ...core.records.record import Record
from ...errors import StoreUnavailable
from ..engine.database import Database
from . import chain
from .adoption import Adoption
from .backlog import Backlog
from .batch import Batch, Rejected
from .insert import Chain, InsertOutcome, write_batches
from .queue import WriteQueue
from .rejected import write_rejected
from .rollup_rows import RollupModels
from .status import DropReport, StoreStatus
from .unwritten import Unwritten

# A record is in the database or in the journal a quarter of a second later. A batch gathers for
# this many seconds, unless it is full before...
LINGER: Final = 0.1
# ... and the database may take this many before the batch goes to the journal as well.
CONFIRM: Final = 0.1
# A transaction that takes longer failed. It is tried again with growing pauses.
TIMEOUT: Final = 5.0
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 5.0
# Seconds after which a task goes on that met an unexpected error.
_AGAIN: Final = 0.25
# Seconds until a journal is tried again that its disk refused.
_DISK_PAUSE: Final = 1.0
# Seconds at the exit: for the database, and then for the journal.
EXIT_SECONDS: Final = 3.0
EXIT_JOURNAL_SECONDS: Final = 2.0

_log = structlog.get_logger(__name__)


class Writer:
    """A `Recorder`: `record` and `audit` are for Trio's thread, never wait and never fail.

    `max_bytes` bounds all journals in `folder`, which processes share. If it is reached, the
    newest `max_waiting` records are kept in memory, and as many audit events. The database is not
    used until `opened` is set; without that event it counts as ready.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        max_bytes: int,
        max_waiting: int,
        opened: trio.Event | None = None,
        chain: Chain = chain.append,
    ) -> None:
        self._database = database
        self._folder = folder
        self._chain = chain
        self._waiting = WriteQueue(max_waiting)
        self._backlog = Backlog(folder, secrets.token_hex(8), max_bytes)
        self._unwritten = Unwritten(self._waiting, self._backlog)
        self._models = RollupModels()
        self._status = StoreStatus()
        self._drops = DropReport()
        # The number of the newest batch that is known to be in the database.
        self._written = 0
        self._work, self._settled = trio.Event(), trio.Event()
        self._opened = trio.Event() if opened is None else opened
        if opened is None:
            self._opened.set()
        self.adoption: Final = Adoption(folder, self._opened)

    def __repr__(self) -> str:
        return f"<Writer {self.name} {self.status}>"

    @property
    def name(self) -> str:
        """The writer's id in the table `writers`, and in the names of its journal files."""
        return self._backlog.writer

    @property
    def status(self) -> StoreStatus:
        """The writer's counts and its last error, as of now."""
        self._status.waiting = self._unwritten.in_memory
        self._status.journaled = self._unwritten.journaled
        self._status.journal_bytes = self._backlog.bytes
        self._status.crowded_out = self._waiting.dropped
        return self._status

    def record(self, record: Record) -> None:
        """Have `record` written soon. From now on it must not change."""
        try:
            self._waiting.record(record)
        except Exception as exc:  # noqa: BLE001  # no request may fail because of it
            self._status.lose_record(exc)

    def audit(self, event: AuditEvent) -> None:
        """Have `event` written soon."""
        try:
            self._waiting.audit(event)
        except Exception as exc:  # noqa: BLE001  # and nothing that is done by an operator
            self._status.lose_record(exc)

    async def run(self) -> None:
        """Write for ever, whatever happens; cancelled, store or journal the rest within 5 s."""
        try:
            await self._prepare()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._endless, self._gather)
                nursery.start_soon(self._endless, self._store)
        finally:
            await self._exit()

    async def _endless(self, task: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await task()
            except Exception as exc:  # noqa: BLE001  # the state that it left is consistent
                self._status.note_error(exc, "the writer failed and goes on")
            await trio.sleep(_AGAIN)

    # The task that takes...

    async def _gather(self) -> None:
        oldest = -inf
        while True:
            if not self._waiting.arrived.is_set():
                await self._waiting.arrived.wait()
                oldest = trio.current_time()
            with trio.move_on_at(oldest + LINGER):
                await self._waiting.full.wait()
            self._hand_over()
            # Whatever waits from here on has arrived later than this.
            oldest = trio.current_time()
            # Only this task waits for the event, so only batches from here on count.
            self._settled = trio.Event()
            if not self._unwritten.is_idle and self._status.since is None:
                with trio.move_on_after(CONFIRM):
                    await self._settled.wait()
            if not self._unwritten.is_idle and not await self._save():
                # A database that is only slow is ready for the next batch long before.
                with trio.move_on_after(_DISK_PAUSE):
                    await self._settled.wait()
            self._drops.update(self._waiting.dropped, self._status.last_error)

    def _hand_over(self) -> None:
        if self._unwritten.hand_over():
            self._work.set()

    async def _save(self) -> bool:
        """Put into the journal what is in memory only, and say whether that succeeded."""
        error = await self._unwritten.save()
        self._work.set()
        if error is not None:
            if not isinstance(error, OSError):
                self._status.note_error(error, "the journal failed")
            self._status.last_error = f"the journal cannot be written: {error}"
        return error is None

    # The task that writes...

    async def _store(self) -> None:
        if not self._opened.is_set():
            self._status.failed(StoreUnavailable("the database has not been opened yet"))
            await self._opened.wait()
            self._status.succeeded(0)
        pause = 0.0
        while True:
            try:
                if not await self._step(TIMEOUT):
                    with trio.move_on_at(self.adoption.next_look):
                        await self._work.wait()
                pause = 0.0
            except Exception as exc:  # noqa: BLE001  # of any kind: the batch is in the journal
                pause = min(pause * 2 or _FIRST_PAUSE, _LONGEST_PAUSE)
                await self._failed(exc)
                await trio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311

    async def _step(self, timeout: float, *, adopt: bool = True) -> bool:
        """Write the next batch, and say whether there was one."""
        self._work = trio.Event()
        if (batch := self._unwritten.batch) is not None:
            await self._write(self.name, [batch], timeout)
            self._unwritten.batch, self._written = None, batch.number
        elif self._backlog.pending:
            work = await self._unwritten.on_disk(lambda: self._backlog.next_own(self._written))
            if work is not None:
                await self._write(self.name, work.batches, timeout, work.rejected)
                self._written = work.last
                await self._unwritten.on_disk(lambda: self._backlog.confirm(work))
        elif not adopt or not await self._adopt(timeout):
            return False
        if self._unwritten.is_idle:
            self._settled.set()
        return True

    async def _adopt(self, timeout: float) -> bool:
        if (again := self.adoption.look(trio.current_time())) is None:
            return False
        work = await self._unwritten.on_disk(lambda: self._backlog.next_orphaned(again=again))
        self.adoption.found(work is not None)
        if work is None:
            return False
        await self._write(work.journal.writer, work.batches, timeout, work.rejected)
        await self._unwritten.on_disk(lambda: self._backlog.confirm(work))
        return True

    async def _write(
        self, writer: str, batches: list[Batch], timeout: float, rejected: Sequence[Rejected] = ()
    ) -> None:
        outcome: InsertOutcome = await self._database.write(
            lambda connection: write_batches(
                connection, writer, batches, self._chain, self._models
            ),
            timeout,
        )
        self._status.succeeded(outcome.written)
        if all_rejected := [*rejected, *outcome.rejected]:
            await self._reject(all_rejected)

    async def _failed(self, error: Exception) -> None:
        self._status.failed(error)
        self.adoption.interrupted()
        await self._unwritten.on_disk(self._backlog.release)
        if self._unwritten.batch is not None and (self._unwritten.is_saved or await self._save()):
            self._unwritten.batch = None

    async def _reject(self, found: list[Rejected]) -> None:
        self._status.reject(found)
        try:
            await self._unwritten.on_disk(lambda: write_rejected(self._folder, found))
        except Exception as exc:  # noqa: BLE001  # what was written with them is
            _log.error("rejected records cannot be kept", error=str(exc), records=len(found))

    # Start and end...

    async def _prepare(self) -> None:
        try:
            await self._unwritten.on_disk(self._backlog.prepare)
        except Exception as exc:  # noqa: BLE001  # the journal is made when it is needed
            # Without a journal, a database that is down costs what does not fit into memory.
            _log.warning("there can be no journal", folder=str(self._folder), error=str(exc))

    async def _exit(self) -> None:
        with trio.move_on_after(EXIT_SECONDS, shield=True):
            # A database that is down is waited for only if the journal does not take the records.
            is_down = self._status.since is not None
            if self._opened.is_set() and not (is_down and await self._save()):
                await self._write_rest()
        with trio.move_on_after(EXIT_JOURNAL_SECONDS, shield=True):
            if self._unwritten.in_memory:
                await self._save()
        waits = self._backlog.bytes
        lost = self._unwritten.close()
        # The second update logs how many were dropped.
        self._drops.update(self._waiting.dropped, self._status.last_error)
        self._drops.update(self._waiting.dropped, self._status.last_error)
        if waits:
            _log.warning("records wait in the journal", bytes=waits)
        if lost:
            self._status.lose(lost)

    async def _write_rest(self) -> None:
        try:
            self._hand_over()
            while await self._step(EXIT_SECONDS, adopt=False):
                self._hand_over()
        except Exception as exc:  # noqa: BLE001  # the journal is next
            self._status.failed(exc)
