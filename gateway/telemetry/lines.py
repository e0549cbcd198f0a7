"""Request records as JSON lines on a file descriptor.

A write to a pipe whose reader is slow blocks, so it never happens on the event loop: records
wait in a bounded queue, and a task writes what has gathered from a worker thread. A thread hop
costs some 200 µs, which a batch shares.
"""

from __future__ import annotations

import os
import select
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
import structlog
import trio

from ..core.records.record import Record

# At ~700 bytes a line this is 7 MB; older lines are worth less than the newest, and the
# gateway more than either.
QUEUE_LINES: Final = 10_000
BATCH_SECONDS: Final = 0.1
FLUSH_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


class LineRecorder:
    """Writes each record as one line. `dropped` counts those that could not be written."""

    def __init__(self, descriptor: int, queue_lines: int = QUEUE_LINES) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._encoder = msgspec.json.Encoder()
        self._lines: deque[bytes] = deque()
        self._queue_lines = queue_lines
        self._arrived = trio.Event()
        self._reported = 0
        # One thread at a time, also if it was abandoned and is still at it: what comes next must
        # not end up between its bytes. Not Trio's own limiter, where dozens of DNS queries
        # that hang would hold up the records.
        self._limiter = trio.CapacityLimiter(1)
        self._abandoned = False

    def __repr__(self) -> str:
        return f"<LineRecorder {len(self._lines)} waiting, {self.dropped} dropped>"

    def record(self, record: Record) -> None:
        """Queue `record`; the oldest one goes if there is no room."""
        if len(self._lines) >= self._queue_lines:
            self._lines.popleft()
            self.dropped += 1
        self._lines.append(self._encoder.encode(record))
        self._arrived.set()

    async def run(self) -> None:
        """Write for ever; cancelled, write what is left within `FLUSH_SECONDS`."""
        try:
            while True:
                await self._arrived.wait()
                await self._write()
                await trio.sleep(BATCH_SECONDS)
        finally:
            with trio.move_on_after(FLUSH_SECONDS, shield=True):
                await self._write()

    async def _write(self) -> None:
        self._arrived = trio.Event()
        if self._lines or self._abandoned:
            batch = list(self._lines)
            self._lines.clear()
            try:
                # Abandoned when cancelled: a reader that is stuck must not hold up the exit.
                await trio.to_thread.run_sync(
                    _write_all,
                    self._descriptor,
                    batch,
                    abandon_on_cancel=True,
                    limiter=self._limiter,
                )
            except trio.Cancelled:
                self._abandoned = True
                raise
            except OSError as exc:
                self.dropped += len(batch)
                _log.error("request records lost", error=str(exc), records=len(batch))
        if self.dropped > self._reported:
            _log.warning("request records dropped", total=self.dropped)
            self._reported = self.dropped


def _write_all(descriptor: int, lines: Iterable[bytes]) -> None:
    # Several workers share one pipe, and what is larger than this is not written in one piece
    # when the pipe is full (pipe(7), PIPE_BUF): their lines would tear each other apart.
    shared = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    for piece in _pieces(lines, select.PIPE_BUF) if shared else [_joined(lines)]:
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"".join([line + b"\n" for line in lines])


def _pieces(lines: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Join whole lines to pieces of at most `limit` bytes; a longer line is one of its own."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) + 1 > limit:
            yield _joined(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line) + 1
    yield _joined(piece)
