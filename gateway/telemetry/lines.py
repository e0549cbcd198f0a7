"""Request records as JSON lines on a file descriptor.

A write to a pipe whose reader is slow blocks, so it never happens on the event loop: records
wait in a `Spooler`, whose thread writes what has gathered.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
import structlog

from ..background import Spooler, SpoolPace
from ..core.records.record import Record

# At ~700 bytes a line this is 7 MB; older lines are worth less than the newest, and the
# gateway more than either.
QUEUE_LINES: Final = 10_000
BATCH_SECONDS: Final = 0.1
FLUSH_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


class LineRecorder(Spooler[bytes, OSError | None]):
    """Writes each record as one line. `dropped` counts those that could not be written."""

    def __init__(self, descriptor: int, queue_lines: int = QUEUE_LINES) -> None:
        super().__init__(
            queue_lines, SpoolPace(queue_lines, pause=BATCH_SECONDS, flush=FLUSH_SECONDS)
        )
        self._descriptor = descriptor
        self._encoder = msgspec.json.Encoder()
        self._reported = 0

    def __repr__(self) -> str:
        return f"<LineRecorder {self.waiting} waiting, {self.dropped} dropped>"

    def record(self, record: Record) -> None:
        """Queue `record`; the oldest one goes if there is no room."""
        self.put(self._encoder.encode(record))

    def _write(self, items: list[bytes]) -> OSError | None:
        try:
            _write_all(self._descriptor, items)
        except OSError as exc:
            return exc
        return None

    def _settle(self, items: list[bytes], result: OSError | None) -> bool:
        if result is not None:
            self.dropped += len(items)
            _log.error("request records lost", error=str(result), records=len(items))
        if self.dropped > self._reported:
            _log.warning("request records dropped", total=self.dropped)
            self._reported = self.dropped
        # What comes in the next moment shares a hop to the thread.
        return False


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
