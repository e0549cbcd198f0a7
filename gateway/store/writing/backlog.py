"""The journals that wait for the database: this writer's, and those of writers that died."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from .batch import Batch, Rejected, decode, encode
from .journal import Journal, JournalFrame, left_behind, make_folder

# Bytes that are read at a time and become one transaction: some 1,500 requests.
_GROUP_BYTES: Final = 1024 * 1024
# A file is removed when all of it is in the database. This many files fill the allowed room: of a
# file that is being written to the database, not more than this part is kept in vain, and each open
# file is one of the thousand or so that a process may have.
_FILES: Final = 64

_log = structlog.get_logger(__name__)


class BacklogItem(msgspec.Struct):
    """Batches of one writer to write next, from its journal."""

    journal: Journal
    last: int
    batches: list[Batch]
    rejected: list[Rejected]


class Backlog:
    """Every method uses the disk: they are for a worker thread, one at a time."""

    def __init__(self, folder: Path, writer: str, max_bytes: int) -> None:
        self.writer = writer
        self._folder = folder
        self._max_bytes = max_bytes
        self._file_bytes = max_bytes // _FILES
        # The first is read, the last is written to. `_count` is the last number given.
        self._own: list[Journal] = []
        self._count = 0
        self._orphan: Journal | None = None
        self._orphans: Iterator[Journal] = iter(())

    def __repr__(self) -> str:
        return f"<Backlog {self._folder}: {self._own}, {self._orphan}>"

    @property
    def pending(self) -> bool:
        """Say whether this writer's own journal has something in it."""
        return bool(self._own)

    @property
    def bytes(self) -> int:
        """How much waits in this writer's own journal."""
        return sum(journal.size - journal.position for journal in self._own.copy())

    def prepare(self) -> None:
        """Make the folder. Raises OSError."""
        make_folder(self._folder)

    def save(self, batches: Sequence[Batch]) -> tuple[int, Exception | None]:
        """Append `batches`; return how many were, and the error if not all were. Never fails."""
        saved = 0
        try:
            for batch in batches:
                payload = encode(batch)
                self._last().append(batch.number, payload, self._max_bytes)
                saved += 1
        except Exception as exc:  # noqa: BLE001  # a number that was saved must not be used again
            # An empty file would count as pending, and has no batch.
            with suppress(OSError):
                self._remove_if_done()
            return saved, exc
        return saved, None

    def next_own(self, written: int) -> BacklogItem | None:
        """Return the next batches of this writer's own journal after the number `written`."""
        work = None
        while self._own and work is None:
            work = _work(self._own[0], written)
            self._remove_if_done()
        return work

    def next_orphaned(self, *, again: bool) -> BacklogItem | None:
        """Return the next batches of writers that died; `again` looks for their files anew."""
        if again:
            self._orphans = left_behind(self._folder)
        while True:
            if self._orphan is None:
                self._orphan = next(self._orphans, None)
                if self._orphan is None:
                    return None
            try:
                work = _work(self._orphan)
                if work is not None:
                    return work
                if self._orphan.damaged:
                    _log.warning(
                        "a journal was damaged",
                        journal=self._orphan.path.name,
                        bytes=self._orphan.damaged,
                    )
                self._orphan.remove()
            except OSError as exc:
                _log.warning("a journal cannot be read", error=str(exc))
                self._orphan.close()
            self._orphan = None

    def confirm(self, work: BacklogItem) -> None:
        """Say that what `next_own` or `next_orphaned` returned is in the database."""
        work.journal.confirm()
        self._remove_if_done()

    def release(self) -> None:
        """Unlock the journals of other writers, for other processes to take."""
        self._orphans = iter(())
        if self._orphan is not None:
            self._orphan.close()
            self._orphan = None

    def close(self) -> None:
        """Unlock all journals and take a new writer id: the old id and its numbers go with them."""
        self.release()
        while self._own:
            self._own.pop(0).close()
        self.writer = secrets.token_hex(8)

    def _last(self) -> Journal:
        if not self._own or self._own[-1].size >= self._file_bytes:
            # The number is used up, even if the file cannot be made.
            self._count += 1
            journal = Journal.create(self._folder, self.writer, self._count)
            self._count = journal.number
            self._own.append(journal)
        return self._own[-1]

    def _remove_if_done(self) -> None:
        while self._own and self._own[0].is_done:
            self._own.pop(0).remove()


def _work(journal: Journal, written: int = 0) -> BacklogItem | None:
    frames = journal.read(_GROUP_BYTES, written)
    if not frames:
        return None
    batches: list[Batch] = []
    rejected: list[Rejected] = []
    for frame in frames:
        try:
            batch, refused = decode(frame.payload)
        except msgspec.DecodeError as exc:
            batch, refused = Batch(frame.number, [], []), [_unreadable(frame, exc)]
        batches.append(batch)
        rejected += refused
    return BacklogItem(journal, frames[-1].number, batches, rejected)


def _unreadable(frame: JournalFrame, error: msgspec.DecodeError) -> Rejected:
    return Rejected({"batch": frame.number, "payload": frame.payload.hex()}, str(error))
