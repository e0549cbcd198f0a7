"""The task that writes captures, so that no request has to wait for a disk.

Redacting and compressing take milliseconds a capture and happen on one worker thread, some
captures a hop. A disk that is full or a folder that can't be written costs captures, which are
counted, and one line in the log until it works again; never a request.

What is on the disk stays within `max_bytes`: the oldest files go, at once and not only when
retention runs, which is once an hour.
"""

from __future__ import annotations

import contextlib
from collections import deque
from pathlib import Path
from typing import Final

import structlog
import trio

from ..core.capture.capture import Capture
from .disk_quota import DiskQuota
from .files import write_capture

# Their bytes are bounded by the room that they share; this is for the many small ones.
MAX_WAITING: Final = 1000
# A hop to a thread costs 200 µs; a batch holds a cancelled task up no longer than it takes.
BATCH: Final = 32
FLUSH_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


class CaptureWriter:
    """Writes captures into day folders below `folder`, up to `max_bytes` in all; 0 is no limit.

    Both may be set at any time, for the captures that are written then. `written` and `dropped`
    count captures, and `pruned` files that went to make room; `last_error` says what went wrong,
    None once it works again.
    """

    def __init__(self, folder: Path, max_waiting: int = MAX_WAITING, max_bytes: int = 0) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.written = 0
        self.dropped = 0
        self.pruned = 0
        self.last_error: str | None = None
        self._max_waiting = max_waiting
        self._waiting: deque[Capture] = deque()
        self._arrived = trio.Event()
        # One at a time, also while an abandoned thread is still at it.
        self._limiter = trio.CapacityLimiter(1)
        # The thread's, so never two's at a time.
        self._allowance = DiskQuota()
        self._abandoned: list[_Batch] = []

    def __repr__(self) -> str:
        counts = f"{self.written} written, {self.dropped} dropped"
        return f"<CaptureWriter {self.waiting} waiting, {counts}>"

    @property
    def waiting(self) -> int:
        """Return how many captures are to be written."""
        return len(self._waiting)

    def put(self, capture: Capture) -> None:
        """Queue a finished capture; the oldest one goes if there is no room."""
        if len(self._waiting) >= self._max_waiting:
            # A thread may have taken them meanwhile.
            with contextlib.suppress(IndexError):
                self._waiting.popleft().release()
                self.dropped += 1
        self._waiting.append(capture)
        self._arrived.set()

    async def run(self) -> None:
        """Write for ever; cancelled, write what is left within `FLUSH_SECONDS`."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived = trio.Event()
                await self._write_all()
        finally:
            with trio.move_on_after(FLUSH_SECONDS, shield=True):
                await self._write_all()
            self._give_up()

    async def _write_all(self) -> None:
        while self._waiting or self._abandoned:
            batch = _Batch(self.folder, self.max_bytes, self._allowance, self._waiting)
            # Before the hop: cancelled in it, nobody knows how far the thread has come.
            self._abandoned.append(batch)
            # Abandoned when cancelled: a disk that hangs must not hold up the exit. The thread
            # goes on, and what comes next waits for it.
            await trio.to_thread.run_sync(
                batch.write, abandon_on_cancel=True, limiter=self._limiter
            )
            # So the earlier ones have ended as well, or never begun.
            done, self._abandoned = self._abandoned, []
            for each in done:
                self._settle(each)

    def _settle(self, batch: _Batch) -> None:
        for capture in batch.captures:
            capture.release()
        self.written += len(batch.captures) - len(batch.errors)
        self.dropped += len(batch.errors)
        self.pruned += batch.pruned
        if batch.errors:
            error = batch.errors[-1]
            if self.last_error is None:
                # Whole, if it is a mistake of ours.
                known = None if isinstance(error, OSError) else error
                folder = str(batch.folder)
                _log.error("captures lost", error=str(error), folder=folder, exc_info=known)
            self.last_error = str(error) or type(error).__name__
        elif batch.captures and self.last_error is not None:
            self.last_error = None
            _log.info("captures are written again", dropped=self.dropped)

    def _give_up(self) -> None:
        lost = [*self._waiting]
        for batch in self._abandoned:
            lost += batch.captures
        self._waiting.clear()
        for capture in lost:
            capture.release()
        if lost:
            self.dropped += len(lost)
            _log.warning("captures lost", error="no time to write them", lost=len(lost))


class _Batch:
    """What one hop to the thread writes: taken from `waiting` there, when it is its turn."""

    def __init__(
        self, folder: Path, max_bytes: int, allowance: DiskQuota, waiting: deque[Capture]
    ) -> None:
        self.folder = folder
        self.captures: list[Capture] = []
        self.errors: list[Exception] = []
        self.pruned = 0
        self._max_bytes = max_bytes
        self._allowance = allowance
        self._waiting = waiting

    def write(self) -> None:
        with contextlib.suppress(IndexError):
            while len(self.captures) < BATCH:
                self.captures.append(self._waiting.popleft())
        for capture in self.captures:
            try:
                # Before: where no room can be made, nothing is written.
                self.pruned += self._allowance.make_room(self.folder, self._max_bytes)
                self._allowance.note(write_capture(self.folder, capture))
            except Exception as exc:  # noqa: BLE001  # ends neither the batch nor the gateway
                self.errors.append(exc)
        with contextlib.suppress(OSError):
            # Whoever comes next is told.
            self.pruned += self._allowance.make_room(self.folder, self._max_bytes)
