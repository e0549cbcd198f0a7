"""How the writer is doing: for metrics and health, and in the log once when it changes."""

from __future__ import annotations

from contextlib import suppress
from time import time
from typing import Final

import msgspec
import structlog

from .batch import Rejected

# Rejected records that get a line in the log each, of one transaction.
_LINES: Final = 10

_log: Final = structlog.get_logger(__name__)


class StoreStatus(msgspec.Struct, kw_only=True):
    """In records and audit events since the start.

    `waiting` are in memory now, `journal_bytes` in the journal. `journaled` went there at some
    time. `crowded_out` found no room, neither in the journal nor in memory; `rejected` are what
    the database will never take, kept in a file; `lost` is what the exit had no time for, and
    what an error of ours has cost. `since` is the Unix time from which on the database has not
    been usable.
    """

    waiting: int = 0
    written: int = 0
    journaled: int = 0
    journal_bytes: int = 0
    crowded_out: int = 0
    rejected: int = 0
    lost: int = 0
    last_error: str | None = None
    since: float | None = None

    @property
    def dropped(self) -> int:
        """How many will never be in the database."""
        return self.crowded_out + self.rejected + self.lost

    def failed(self, error: Exception) -> None:
        """Note that the database could not be written."""
        self.last_error = _text(error)
        if self.since is None:
            self.since = time()
            _log.warning("the database takes no records", error=self.last_error)

    def succeeded(self, written: int) -> None:
        """Note that it was."""
        self.written += written
        if self.since is not None:
            seconds, self.since = round(time() - self.since, 1), None
            _log.info("the database takes records again", seconds=seconds)

    def note_error(self, error: Exception, event: str) -> None:
        """Note an error of ours, whole. Never fails: a log on a full disk may have been it."""
        self.last_error = _text(error)
        with suppress(Exception):
            _log.error(event, exc_info=error)

    def lose_record(self, error: Exception) -> None:
        """Note that such an error has cost a record. Never fails."""
        self.lost += 1
        self.note_error(error, "a record is lost")

    def reject(self, found: list[Rejected]) -> None:
        """Note what the database will never take."""
        self.rejected += len(found)
        for each in found[:_LINES]:
            _log.error("a record was rejected", request_id=each.request_id, reason=each.reason)

    def lose(self, count: int) -> None:
        """Note what is lost for good."""
        self.lost += count
        _log.error("records are lost", records=count, reason=self.last_error)


class DropReport:
    """Says once that records find no room, and once how many they were when that is over."""

    def __init__(self) -> None:
        self._total = 0
        self._before = 0
        self._dropping = False

    def update(self, total: int, reason: str | None) -> None:
        """Note how many found no room so far."""
        if total > self._total and not self._dropping:
            self._dropping, self._before = True, self._total
            _log.error("records are dropped", reason=reason)
        elif total == self._total and self._dropping:
            self._dropping = False
            _log.error("records were dropped", records=total - self._before, total=total)
        self._total = total


def _text(error: Exception) -> str:
    # The first line: the others of a database's errors may quote what was to be written.
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
