"""Files in which batches wait that the database has not confirmed.

    <folder>/<writer>.<number>.journal    frames: mark, length, checksum, number, batch

A file is locked while the process lives that made it. A file without a lock was left behind by a
process that died; the process that gets the lock writes its batches to the database. A writer's
files are made, written to the database and removed in the order of their numbers: a batch that
is written after a later one would look as if it had been written before.

A batch is in the page cache when `append` has returned. It survives any end of this process, but
not a power failure in the next few seconds, like the last transactions of SQLite (`synchronous =
NORMAL`). Waiting for the disk each time would cost the time that the journal is there to save.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

import structlog

from ...file_owner import give_to_owner, make_private_folder

_HEAD: Final = Struct(">4sIIQ")
_NUMBER: Final = Struct(">Q")
# Reading goes on at the next mark after a damaged frame. UTF-8 has no byte 0xFF.
_MARK: Final = b"\xffJ1\n"
_SUFFIX: Final = ".journal"
_BLOCK: Final = 1024 * 1024

_log: Final = structlog.get_logger(__name__)


class JournalFrame(NamedTuple):
    number: int
    payload: bytes


class Journal:
    """A locked file. One thread at a time uses it. Raises OSError wherever the disk does."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size = os.fstat(descriptor).st_size
        # Frames before this offset are in the database.
        self.position = 0
        # Bytes that are no frame; usually of a process that died while it wrote.
        self.damaged = 0
        self._next = self._skipped = 0
        self._descriptor = descriptor

    def __repr__(self) -> str:
        return f"<Journal {self.path.name}: {self.position} of {self.size} done>"

    @classmethod
    def create(cls, folder: Path, writer: str, number: int = 1) -> Journal:
        """Make a writer's file of this number; of a later one if another process took it at once.

        Raises FileExistsError rather than write to a file that exists.
        """
        make_folder(folder)
        while True:
            path = folder / f"{writer}.{number}{_SUFFIX}"
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
            try:
                give_to_owner(descriptor, folder)
                journal = cls._locked(path, descriptor)
            except BaseException:
                # Where files cannot be locked, each attempt would leave one more.
                with suppress(OSError):
                    path.unlink()
                raise
            if journal is not None:
                return journal
            # Another process found the file between open and lock, without a lock and empty.
            number += 1

    @classmethod
    def adopt(cls, path: Path) -> Journal | None:
        """Lock a file that was left behind; None if it was not, or another process was faster."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        return cls._locked(path, descriptor)

    @classmethod
    def _locked(cls, path: Path, descriptor: int) -> Journal | None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last owner may have written it to the database and removed it before.
            if os.fstat(descriptor).st_nlink:
                return cls(path, descriptor)
        except BlockingIOError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    @property
    def writer(self) -> str:
        return _place(self.path)[0]

    @property
    def number(self) -> int:
        return _place(self.path)[1]

    @property
    def is_done(self) -> bool:
        """Say whether all of its frames are in the database."""
        return self.position >= self.size

    def append(self, number: int, payload: bytes, max_bytes: int) -> None:
        """Add a batch, unless all journals of the folder together would exceed `max_bytes`."""
        frame = framed(JournalFrame(number, payload))
        if total_bytes(self.path.parent) + len(frame) > max_bytes:
            raise OSError(errno.ENOSPC, "[store] journal_max_bytes is reached")
        written = 0
        try:
            while written < len(frame):
                written += os.pwrite(self._descriptor, frame[written:], self.size + written)
        except OSError:
            # A part of a frame is useless, and its room may be enough for a smaller frame.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(frame)

    def read(self, budget: int, after: int = 0) -> list[JournalFrame]:
        """Return the next frames with a number above `after`: one, or up to `budget` bytes.

        They are returned again until `confirm` is called.
        """
        frames: list[JournalFrame] = []
        self._next, self._skipped = self.position, 0
        while self._next < self.size and budget > 0:
            frame = self._frame(self._next)
            if frame is None:
                here = self._next
                self._next = self._find_mark(here + 1)
                self._skipped += self._next - here
                continue
            size = _HEAD.size + len(frame.payload)
            if frame.number > after:
                if frames and size > budget:
                    break
                frames.append(frame)
                budget -= size
            self._next += size
        if not frames:
            self.confirm()
        return frames

    def confirm(self) -> None:
        """Note that the frames read last are in the database."""
        self.position = self._next
        self.damaged += self._skipped

    def remove(self) -> None:
        """Remove the file, and with it the lock."""
        try:
            with suppress(FileNotFoundError):
                self.path.unlink()
        finally:
            self.close()

    def close(self) -> None:
        """Close and unlock the file, for other processes to take."""
        if self._descriptor >= 0:
            # The descriptor is closed even if close(2) reports an error.
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def _frame(self, at: int) -> JournalFrame | None:
        head = os.pread(self._descriptor, _HEAD.size, at)
        if len(head) < _HEAD.size:
            return None
        mark, length, checksum, number = _HEAD.unpack(head)
        if mark != _MARK or at + _HEAD.size + length > self.size:
            return None
        payload = os.pread(self._descriptor, length, at + _HEAD.size)
        if crc32(payload, crc32(_NUMBER.pack(number))) != checksum:
            return None
        return JournalFrame(number, payload)

    def _find_mark(self, at: int) -> int:
        while at < self.size:
            block = os.pread(self._descriptor, _BLOCK, at)
            found = block.find(_MARK)
            if found >= 0:
                return at + found
            if len(block) < len(_MARK):
                break
            # A mark may lie across two blocks.
            at += len(block) - len(_MARK) + 1
        return self.size


def framed(frame: JournalFrame) -> bytes:
    """Return a frame as it stands in a file."""
    number, payload = frame
    checksum = crc32(payload, crc32(_NUMBER.pack(number)))
    return _HEAD.pack(_MARK, len(payload), checksum, number) + payload


def make_folder(folder: Path) -> None:
    """Make the folder if it is missing. Raises OSError, also if it cannot be written."""
    make_private_folder(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "it cannot be written", str(folder))


def total_bytes(folder: Path) -> int:
    """Return how large all journals of a folder are."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(_SUFFIX):
                with suppress(FileNotFoundError):
                    total += entry.stat().st_size
    return total


def left_behind(folder: Path) -> Iterator[Journal]:
    """Yield, locked, the files of processes that ended: by writer, the one with the oldest first.

    A writer's next file comes only once the one before has been removed.
    """
    for writer in _writers(folder):
        last: Path | None = None
        while (journal := _adopt_first(folder, writer, last)) is not None:
            yield journal
            last = journal.path


def _adopt_first(folder: Path, writer: str, last: Path | None) -> Journal | None:
    """Lock the first of a writer's files, unless it still is the `last` one."""
    journal = None
    try:
        path = _first(folder, writer)
        if path is None or path == last:
            return None
        journal = Journal.adopt(path)
        # A listing is not atomic: only once the writer is known to be dead is it complete.
        if journal is None or _first(folder, writer) == path:
            return journal
    except OSError as exc:
        _log.warning("a journal cannot be opened", error=str(exc))
    if journal is not None:
        journal.close()
    return None


def _first(folder: Path, writer: str) -> Path | None:
    paths = (path for path in _paths(folder) if _place(path)[0] == writer)
    return min(paths, key=_place, default=None)


def _writers(folder: Path) -> list[str]:
    ages: dict[str, float] = {}
    with suppress(OSError):
        for path in _paths(folder):
            writer = _place(path)[0]
            ages[writer] = min(_age(path), ages.get(writer, inf))
    return sorted(ages, key=ages.__getitem__)


def _paths(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [folder / entry.name for entry in entries if entry.name.endswith(_SUFFIX)]


def _place(path: Path) -> tuple[str, int]:
    """Return the id of the file's writer, and the file's number."""
    writer, _, number = path.name.removesuffix(_SUFFIX).partition(".")
    return writer, int(number) if number.isdecimal() else 0


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
