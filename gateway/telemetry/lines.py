"""Request records as JSON lines on a file descriptor.

A write to a pipe whose reader is slow blocks, so it never happens on the event loop: records
wait in a `Spooler`, whose thread writes what has gathered.
"""

from __future__ import annotations

import math
import re
from typing import Final

import msgspec
import structlog
import trio

from ..background import Spooler, SpoolPace
from ..core.records.record import Record
from .line_file import LineFile, Written

# At ~700 bytes a line this is 7 MB; older lines are worth less than the newest, and the
# gateway more than either.
QUEUE_LINES: Final = 10_000
BATCH_SECONDS: Final = 0.1
FLUSH_SECONDS: Final = 5.0
# A disk that is full stays so for a while, and the log is often on it too.
COMPLAINT_SECONDS: Final = 60.0

_log = structlog.get_logger(__name__)

_UNSHOWN: Final = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


def shown(line: bytes) -> bytes:
    """Return a line of JSON in which nothing changes what a terminal or an editor shows.

    JSON itself escapes what is below the blank. Callers choose names, and a terminal obeys DEL and
    C1 (ECMA-48), and shows text behind bidirectional marks in another order (Unicode TR36).
    """
    if line.isascii() and b"\x7f" not in line:
        return line
    return _UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", line.decode()).encode()


class LineRecorder(Spooler[bytes, Written]):
    """Writes each record as one line. `dropped` counts those that could not be written."""

    def __init__(self, descriptor: int, queue_lines: int = QUEUE_LINES) -> None:
        super().__init__(
            queue_lines, SpoolPace(queue_lines, pause=BATCH_SECONDS, flush=FLUSH_SECONDS)
        )
        self._file = LineFile(descriptor)
        self._encoder = msgspec.json.Encoder()
        self._reported = 0
        self._failing = False
        self._complained = -math.inf
        # Because of errors, since that was last said.
        self._lost = 0

    def __repr__(self) -> str:
        return f"<LineRecorder {self.waiting} waiting, {self.dropped} dropped>"

    def record(self, record: Record) -> None:
        """Queue `record`; the oldest one goes if there is no room."""
        self.put(shown(self._encoder.encode(record)))

    def _write(self, items: list[bytes]) -> Written:
        return self._file.write([item + b"\n" for item in items])

    def _settle(self, items: list[bytes], result: Written) -> bool:
        lost = len(items) - result.lines
        self.dropped += lost
        self._lost += lost
        self._say(result.error)
        # What comes in the next moment shares a hop to the thread.
        return False

    def _say(self, error: OSError | None) -> None:
        """Log what was lost: at once, then once a minute, and when it is over."""
        now = trio.current_time()
        if error is None and self._failing:
            _log.warning("request records are written again", dropped=self.dropped)
            # What comes next is new.
            self._failing, self._reported, self._complained = False, self.dropped, -math.inf
        if now - self._complained < COMPLAINT_SECONDS:
            return
        if error is not None:
            _log.error("request records lost", error=str(error), records=self._lost)
            self._failing, self._lost, self._complained = True, 0, now
        if self.dropped > self._reported:
            _log.warning("request records dropped", total=self.dropped)
            self._reported, self._complained = self.dropped, now
