"""The task that writes captures, so that no request has to wait for a disk.

Redacting and compressing take milliseconds a capture and happen on one worker thread, some
captures a hop. A disk that is full or a folder that can't be written costs captures, which are
counted, and one line in the log until it works again; never a request.

What is on the disk stays within `max_bytes`: the oldest files go, at once and not only when
retention runs, which is once an hour.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from ..background import Spooler, SpoolPace
from ..core.capture.capture import Capture
from .disk_quota import DiskQuota
from .files import write_capture

# The memory of waiting captures is bounded by the budget they share; this is for many small ones.
MAX_WAITING: Final = 1000
# A hop to a thread costs 200 µs; a batch holds a cancelled task up no longer than it takes.
BATCH: Final = 32
FLUSH_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


class _Outcome(NamedTuple):
    """What a batch came to: where it was written, what failed, how many files went for it."""

    folder: Path
    errors: list[Exception]
    pruned: int


class CaptureWriter(Spooler[Capture, _Outcome]):
    """Writes captures into day folders below `folder`, up to `max_bytes` in all; 0 is no limit.

    Both may be set at any time, for the captures that are written then. `written` and `dropped`
    count captures, and `pruned` files that went to make room; `last_error` says what went wrong,
    None once it works again.
    """

    def __init__(self, folder: Path, max_waiting: int = MAX_WAITING, max_bytes: int = 0) -> None:
        super().__init__(max_waiting, SpoolPace(BATCH, flush=FLUSH_SECONDS))
        self.folder = folder
        self.max_bytes = max_bytes
        self.written = 0
        self.pruned = 0
        self.last_error: str | None = None
        # Only the spooler's thread uses it, and there is one at a time.
        self._quota = DiskQuota()

    def __repr__(self) -> str:
        counts = f"{self.written} written, {self.dropped} dropped"
        return f"<CaptureWriter {self.waiting} waiting, {counts}>"

    def _write(self, items: list[Capture]) -> _Outcome:
        folder, max_bytes = self.folder, self.max_bytes
        errors: list[Exception] = []
        pruned = 0
        for capture in items:
            try:
                # Before: where no room can be made, nothing is written.
                pruned += self._quota.make_room(folder, max_bytes)
                self._quota.note(write_capture(folder, capture))
            except Exception as exc:  # noqa: BLE001  # ends neither the batch nor the gateway
                errors.append(exc)
        with contextlib.suppress(OSError):
            # The next capture meets the error again, and reports it.
            pruned += self._quota.make_room(folder, max_bytes)
        return _Outcome(folder, errors, pruned)

    def _settle(self, items: list[Capture], result: _Outcome) -> bool:
        for capture in items:
            capture.release()
        errors = result.errors
        self.written += len(items) - len(errors)
        self.dropped += len(errors)
        self.pruned += result.pruned
        if errors:
            error = errors[-1]
            if self.last_error is None:
                # Whole, if it is a mistake of ours.
                known = None if isinstance(error, OSError) else error
                folder = str(result.folder)
                _log.error("captures lost", error=str(error), folder=folder, exc_info=known)
            self.last_error = str(error) or type(error).__name__
        elif self.last_error is not None:
            self.last_error = None
            _log.info("captures are written again", dropped=self.dropped)
        return True

    def _drop(self, item: Capture) -> int:
        item.release()
        return 1

    def _give_up(self, dropped: list[Capture], taken: list[Capture]) -> None:
        # The process ends before a thread that hangs, so what that thread has counts as lost.
        self._drop_all(taken)
        if lost := len(dropped) + len(taken):
            _log.warning("captures lost", error="no time to write them", lost=lost)
