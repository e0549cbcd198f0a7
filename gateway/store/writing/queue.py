"""Records and audit events that are in memory only: a bounded queue that never waits."""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

from ...core.records.audit import AuditEvent
from ...core.records.record import Record
from .batch import Batch

# A batch gathers until it is this large, or `writer.LINGER` is over.
BATCH_ROWS: Final = 500
# Rows of one transaction at most, so that it takes about 0.1 s: other writers wait for its end.
MOST_ROWS: Final = 2000


class WriteQueue:
    """The newest `most` records, and as many audit events: few of these arrive, so they stay.

    `arrived` is set while there is anything, `full` while there is enough for a batch. `dropped`
    counts the oldest ones, which were dropped for want of room.
    """

    def __init__(self, most: int) -> None:
        self.dropped = 0
        self.arrived, self.full = trio.Event(), trio.Event()
        self._most = most
        self._records: deque[Record] = deque()
        self._events: deque[AuditEvent] = deque()
        self._awake = False
        self._number = 0

    def __repr__(self) -> str:
        return f"<WriteQueue {len(self._records)} records, {len(self._events)} events>"

    def __len__(self) -> int:
        return len(self._records) + len(self._events)

    def record(self, record: Record) -> None:
        # Every request passes here.
        records = self._records
        records.append(record)
        if not self._awake:
            self._wake()
        if len(records) >= BATCH_ROWS:
            self._crowd()

    def audit(self, event: AuditEvent) -> None:
        self._events.append(event)
        if not self._awake:
            self._wake()
        if len(self._events) >= BATCH_ROWS:
            self._crowd()

    def take(self) -> Batch | None:
        """Return the next batch, with the next number, if there is anything."""
        records, events = self._records, self._events
        if not records and not events:
            return None
        self._number += 1
        batch = Batch(
            self._number,
            [records.popleft() for _ in range(min(len(records), MOST_ROWS))],
            [events.popleft() for _ in range(min(len(events), MOST_ROWS))],
        )
        if max(len(records), len(events)) < BATCH_ROWS and self.full.is_set():
            self.full = trio.Event()
        if not records and not events:
            self.arrived = trio.Event()
            self._awake = False
        return batch

    def take_all(self) -> list[Batch]:
        batches: list[Batch] = []
        while batch := self.take():
            batches.append(batch)
        return batches

    def put_back(self, batches: list[Batch]) -> None:
        """Take back the batches that were taken last; they must not have been written anywhere."""
        for batch in reversed(batches):
            self._records.extendleft(reversed(batch.records))
            self._events.extendleft(reversed(batch.events))
            self._number = batch.number - 1
        if batches:
            self._wake()
            self._crowd()

    def _wake(self) -> None:
        self._awake = True
        self.arrived.set()

    def _crowd(self) -> None:
        if max(len(self._records), len(self._events)) >= BATCH_ROWS:
            self.full.set()
        for queue in (self._records, self._events):
            while len(queue) > self._most:
                queue.popleft()
                self.dropped += 1
