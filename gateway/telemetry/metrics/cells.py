"""Where the numbers of metrics are kept: in memory, or in files that several workers share.

prometheus-client's own multiprocess mode costs 0.9 µs for each addition here and 2 µs for each
observation of a histogram, has no collectors of one's own, and its files stay behind for ever
with each worker that is replaced. Here a series is a few adjacent doubles, an addition is one
assignment to an element (26 ns in a list, 48 ns in mapped memory), and a new worker goes on
counting in the file of a dead one. What is in mapped memory survives the process, even SIGKILL;
so nothing is flushed, and no counter ever goes backwards.

The files of one directory:

    file     segment*                     grows by whole segments; one owner
    segment  MAGIC  used: u64  record*    SEGMENT bytes, of which the first `used` are in use
    record   key length: u32  cells: u32  key  padding to 8  cells: f64*

A record is written before `used` is raised to include it. The owner holds a lock (flock) on its
file while it lives. The kernel drops the lock however the process ends; a process id in the file
could be another process's by then. The byte order is native: only this machine reads the files.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import secrets
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec

# The name of a family, then the values of its labels.
Key = tuple[str, ...]

SEGMENT: Final = 1 << 16  # a multiple of every page size in use
SUFFIX: Final = ".cells"
_MAGIC: Final = b"GWCELLS1"
_USED: Final = struct.Struct("=Q")
_SIZES: Final = struct.Struct("=II")
_START: Final = len(_MAGIC) + _USED.size

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Key).decode


class Cells(Protocol):
    """The numbers of one series. An element is read and written in one piece."""

    def __getitem__(self, index: int, /) -> float: ...

    def __setitem__(self, index: int, value: float, /) -> None: ...

    def __len__(self) -> int: ...


class CellPage(msgspec.Struct):
    """What one process counted, read as it is iterated over; `live` says that it still runs."""

    live: bool
    series: Iterator[tuple[Key, list[float]]]


class CellStorage(Protocol):
    def open(self, key: Key, size: int) -> Cells:
        """Return the cells of a series, with 0 in each if they are new."""
        ...

    def known(self) -> list[Key]:
        """Return the series of this process, those taken over from a dead one included."""
        ...

    def pages(self) -> Iterator[CellPage]:
        """Yield what all processes have. May be called in another thread than the other methods."""
        ...


class MemoryCells:
    """The cells of this process alone."""

    def __init__(self) -> None:
        self._cells: dict[Key, list[float]] = {}
        # Another thread iterates over this list. A dictionary that grows meanwhile would raise.
        self._series: list[tuple[Key, list[float]]] = []

    def __repr__(self) -> str:
        return f"<MemoryCells {len(self._series)} series>"

    def open(self, key: Key, size: int) -> Cells:
        found = self._cells.get(key)
        if found is None:
            found = self._cells[key] = [0.0] * size
            self._series.append((key, found))
        return found

    def known(self) -> list[Key]:
        return [key for key, _ in self._series]

    def pages(self) -> Iterator[CellPage]:
        yield CellPage(True, ((key, cells[:]) for key, cells in self._series))


class SharedCells:
    """The cells of all processes that share `directory`; who made the directory removes it.

    Raises OSError if it cannot be written to. A disk that is full later is no error: new series
    are then counted in memory, and not shown.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cells: dict[Key, Cells] = {}
        self._file, self._path, segments = _own(directory)
        self._segments = segments
        self.lost = 0
        for segment in segments:
            for key, cells in _series(segment):
                self._cells[key] = cells

    def __repr__(self) -> str:
        return f"<SharedCells {self._path.name}, {len(self._cells)} series, {self.lost} lost>"

    def open(self, key: Key, size: int) -> Cells:
        found = self._cells.get(key)
        if found is None or len(found) != size:
            found = self._cells[key] = self._add(key, size)
        return found

    def known(self) -> list[Key]:
        return list(self._cells)

    def pages(self) -> Iterator[CellPage]:
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                # This process's own lock refuses, too: it is the other descriptor's (flock(2)).
                live = not _lock(descriptor, fcntl.LOCK_SH)
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                count = os.fstat(descriptor).st_size // SEGMENT
                segments = [_map(descriptor, number, mmap.ACCESS_READ) for number in range(count)]
            finally:
                os.close(descriptor)
            yield CellPage(live, _read(segments))

    def close(self) -> None:
        """Leave the file to the next process, as the end of this one would."""
        # Closing alone would not unlock: each map has a descriptor that shares the lock.
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)

    def _add(self, key: Key, size: int) -> Cells:
        data = _encode(key)
        start = _SIZES.size + len(data)
        start += -start % 8
        length = start + 8 * size
        try:
            segment, used = self._room(length)
        except OSError:
            self.lost += 1
            return [0.0] * size
        _SIZES.pack_into(segment, used, len(data), size)
        segment[used + _SIZES.size : used + _SIZES.size + len(data)] = data
        cells = segment[used + start : used + length].cast("d")
        _USED.pack_into(segment, len(_MAGIC), used + length)
        return cells

    def _room(self, length: int) -> tuple[memoryview, int]:
        """Return a segment with room for a record, and where that goes."""
        if self._segments:
            segment = self._segments[-1]
            (used,) = _USED.unpack_from(segment, len(_MAGIC))
            if used + length <= SEGMENT:
                return segment, used
        number = len(self._segments)
        # Writing to a page of a sparse file for which the disk has no room raises SIGBUS.
        os.posix_fallocate(self._file, number * SEGMENT, SEGMENT)
        segment = _map(self._file, number, mmap.ACCESS_WRITE)
        _USED.pack_into(segment, len(_MAGIC), _START)
        segment[: len(_MAGIC)] = _MAGIC
        self._segments.append(segment)
        return segment, _START


def _own(directory: Path) -> tuple[int, Path, list[memoryview]]:
    """Take over the file of a process that has ended, or make one."""
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if _lock(descriptor, fcntl.LOCK_EX):
            count = os.fstat(descriptor).st_size // SEGMENT
            segments = [_map(descriptor, number, mmap.ACCESS_WRITE) for number in range(count)]
            # A kill may have left the last segment empty.
            while segments and not any(segments[-1][:_START]):
                segments.pop()
            if all(_is_ours(segment) for segment in segments):
                return descriptor, path, segments
        os.close(descriptor)
    while True:
        path = directory / f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if _lock(descriptor, fcntl.LOCK_EX):
            return descriptor, path, []
        # Another process, which starts now as well, has taken the new file over.
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _map(descriptor: int, number: int, access: int) -> memoryview:
    return memoryview(mmap.mmap(descriptor, SEGMENT, access=access, offset=number * SEGMENT))


def _read(segments: Iterable[memoryview]) -> Iterator[tuple[Key, list[float]]]:
    for segment in segments:
        for key, cells in _series(segment):
            yield key, list(cells)


def _is_ours(segment: memoryview) -> bool:
    return segment[: len(_MAGIC)].tobytes() == _MAGIC


def _series(segment: memoryview) -> Iterator[tuple[Key, memoryview[float]]]:
    """Yield what a segment holds, up to anything that is not as it should be."""
    if not _is_ours(segment):
        return
    (used,) = _USED.unpack_from(segment, len(_MAGIC))
    at = _START
    while at + _SIZES.size <= min(used, SEGMENT):
        length, size = _SIZES.unpack_from(segment, at)
        start = at + _SIZES.size + length
        start += -start % 8
        end = start + 8 * size
        if end > SEGMENT:
            return
        try:
            key = _decode(segment[at + _SIZES.size : at + _SIZES.size + length])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        yield key, segment[start:end].cast("d")
        at = end


ABSENT: Final = math.nan  # in a gauge's cell: what it measures does not exist at present
