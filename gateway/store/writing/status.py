"""The state of the writer, for metrics and health; the log says once when it changes."""

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
    """Counts of records and audit events since the start.

    `waiting` are in memory now, `journal_bytes` in the journal. `journaled` went to the journal at
    some time. `crowded_out` found no room, neither in the journal nor in memory. `rejected` can
    never be written to the database, and are kept in a file. `lost` are those that the exit had no
    time for, or that an unexpected error cost. The database has not been usable since the Unix
    time `since`; None if it is.
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
        """Note that `written` items were written."""
        self.written += written
        if self.since is not None:
            seconds, self.since = round(time() - self.since, 1), None
            _log.info("the database takes records again", seconds=seconds)

    def note_error(self, error: Exception, event: str) -> None:
        """Note an unexpected error and log it whole. Never fails, even if logging fails."""
        self.last_error = _text(error)
        with suppress(Exception):
            _log.error(event, exc_info=error)

    def lose_record(self, error: Exception) -> None:
        """Note that an unexpected error has cost a record. Never fails."""
        self.lost += 1
        self.note_error(error, "a record is lost")

    def reject(self, found: list[Rejected]) -> None:
        """Note items that can never be written to the database."""
        self.rejected += len(found)
        for each in found[:_LINES]:
            _log.error("a record was rejected", request_id=each.request_id, reason=each.reason)

    def lose(self, count: int) -> None:
        """Note that `count` items are lost for good."""
        self.lost += count
        _log.error("records are lost", records=count, reason=self.last_error)


class DropReport:
    """Logs once that records are dropped, and once how many when that has ended."""

    def __init__(self) -> None:
        self._total = 0
        self._before = 0
        self._dropping = False

    def update(self, total: int, reason: str | None) -> None:
        """Note how many have been dropped so far."""
        if total > self._total and not self._dropping:
            self._dropping, self._before = True, self._total
            _log.error("records are dropped", reason=reason)
        elif total == self._total and self._dropping:
            self._dropping = False
            _log.error("records were dropped", records=total - self._before, total=total)
        self._total = total


def _text(error: Exception) -> str:
    # The first line only: further lines of a database's error may quote the row.
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
