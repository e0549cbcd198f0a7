"""The debug log's files: one for each request, in a folder for each day.

    debug/2026-11-23/req_0f3c.jsonl.gz          gzip of JSON lines (core/capture/transcript.py)
    debug/2026-11-23/req_0f3c~5d1e8f20.jsonl.gz another request with the same id

Callers choose ids, so a file's name is made of an id only if that is harmless, and of its hash
otherwise. A link that another user planted in the folder must not be followed. So files are opened
below an open day folder, by plain names that the gateway has made or matched.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import re
import secrets
import stat
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from ..core.capture.capture import Capture
from ..core.capture.transcript import Transcript, decode, encode

SUFFIX: Final = ".jsonl.gz"
# To be matched in full. No leading dot: those are unfinished. No "sha256-": those are hashes.
_PLAIN: Final = re.compile(r"(?!sha256-)[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OURS: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}(?:~[0-9a-f]{8})?\.jsonl\.gz")
_UNFINISHED: Final = re.compile(r"\.[0-9a-f]{16}\.tmp")
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Twice the time of 9 at half the size of 1 (measured on chat completions).
_LEVEL: Final = 6
# A file that inflates to more is not one that the gateway wrote, or of no use.
MAX_READ: Final = 512 * 1024 * 1024


class CaptureFile(msgspec.Struct, frozen=True):
    """One file: its day folder, name, size in bytes and when it was written (Unix seconds)."""

    day: str
    name: str
    size: int
    time: float


def file_stem(request_id: str) -> str:
    """Return the beginning of the names of the request's files."""
    if _PLAIN.fullmatch(request_id):
        return request_id
    digest = hashlib.sha256(request_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"sha256-{digest}"


def write_capture(folder: Path, capture: Capture) -> Path:
    """Write a finished capture and return its file. Raises OSError, with nothing left behind."""
    day = _day(capture.request.time)
    # Each by itself: the mode is not for parents that are made on the way.
    for place in (folder, folder / day):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _opened(folder / day) as opened:
        temporary = f".{secrets.token_hex(8)}.tmp"
        try:
            _write(opened, temporary, encode(capture))
            return folder / day / _name(opened, temporary, file_stem(capture.request.request_id))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=opened)
            raise


def list_captures(folder: Path, name: re.Pattern[str] = _OURS) -> Iterator[CaptureFile]:
    """Yield the files, newest first; none if there is no folder. Raises OSError otherwise.

    Files whose names do not match `name` in full are not looked at further: there may be very many.
    """
    for day in sorted(_days(folder), reverse=True):
        yield from sorted(_files(folder, day, name), key=lambda file: file.time, reverse=True)


def read_file(folder: Path, file: CaptureFile) -> Transcript | None:
    """Return what a file holds; None if it is gone, or not in the gateway's format."""
    try:
        return decode(read_lines(folder, file))
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_lines(folder: Path, file: CaptureFile, most: int | None = None) -> Iterator[bytes]:
    """Yield the lines of a file up to `most` bytes, or up to where it is damaged."""
    if not (_DAY.fullmatch(file.day) and _OURS.fullmatch(file.name)):
        return
    with _opened(folder / file.day) as place:
        try:
            descriptor = os.open(file.name, _READ, dir_fd=place)
        except OSError:
            # A link, or gone meanwhile.
            return
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return
        left = MAX_READ if most is None else most
        with os.fdopen(descriptor, "rb") as raw, gzip.GzipFile(fileobj=raw) as unpacked:
            try:
                while left > 0 and (line := unpacked.readline(left)):
                    left -= len(line)
                    yield line
            except (EOFError, zlib.error, gzip.BadGzipFile):
                return


class PrunedCaptures(msgspec.Struct):
    """What was removed, and what is left."""

    files: int = 0
    bytes: int = 0
    left_files: int = 0
    left_bytes: int = 0


def prune_captures(folder: Path, max_age_days: float, max_bytes: int, now: float) -> PrunedCaptures:
    """Remove what is too old, then the oldest until the rest is within `max_bytes`.

    A 0 is no bound. `now` is Unix seconds. Files that the gateway did not write stay. Raises
    OSError if the folder can't be read or a file in it can't be removed.
    """
    pruned = PrunedCaptures()
    for _ in prune_steps(folder, max_age_days, max_bytes, now, pruned):
        pass
    return pruned


def prune_steps(
    folder: Path, max_age_days: float, max_bytes: int, now: float, pruned: PrunedCaptures
) -> Iterator[CaptureFile]:
    """Like `prune_captures`, one file a step; `pruned` is kept up to date."""
    files = list(list_captures(folder))
    pruned.left_files, pruned.left_bytes = len(files), sum(file.size for file in files)
    until = now - max_age_days * 86_400 if max_age_days else -1.0
    for file in sorted(files, key=lambda file: file.time):
        too_much = max_bytes and pruned.left_bytes > max_bytes
        if file.time >= until and not too_much:
            break
        pruned.left_files -= 1
        pruned.left_bytes -= file.size
        if remove_file(folder, file):
            pruned.files += 1
            pruned.bytes += file.size
            yield file
    for day in _days(folder):
        _tidy(folder, day, now)


def _day(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d")


def _write(place: int, name: str, lines: Iterable[bytes]) -> None:
    descriptor = os.open(name, _CREATE, 0o600, dir_fd=place)
    # The header has no name and no time: the lines say both.
    with (
        os.fdopen(descriptor, "wb") as raw,
        gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed,
    ):
        for line in lines:
            packed.write(line)


def _name(place: int, temporary: str, stem: str) -> str:
    """Give the file its name, without ever replacing another file."""
    name = f"{stem}{SUFFIX}"
    while True:
        try:
            # Reserved first: `rename` would silently replace what is there.
            os.close(os.open(name, _CREATE, 0o600, dir_fd=place))
        except FileExistsError:
            name = f"{stem}~{secrets.token_hex(4)}{SUFFIX}"
            continue
        try:
            os.rename(temporary, name, src_dir_fd=place, dst_dir_fd=place)
        except OSError:
            os.unlink(name, dir_fd=place)
            raise
        return name


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _days(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [
                entry.name
                for entry in entries
                if _DAY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []


def _files(folder: Path, day: str, pattern: re.Pattern[str] = _OURS) -> Iterator[CaptureFile]:
    try:
        with os.scandir(folder / day) as entries:
            for entry in entries:
                if not (pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    yield CaptureFile(day, entry.name, found.st_size, found.st_mtime)
    except (FileNotFoundError, NotADirectoryError):
        # Removed by another process meanwhile.
        return


def remove_file(folder: Path, file: CaptureFile) -> bool:
    """Remove a file; say whether it was still there. Raises OSError."""
    try:
        with _opened(folder / file.day) as place:
            os.unlink(file.name, dir_fd=place)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _tidy(folder: Path, day: str, now: float) -> None:
    """Remove what a killed process left half written, and the folder if nothing is in it."""
    for file in _files(folder, day, _UNFINISHED):
        if file.time < now - 3600:
            remove_file(folder, file)
    # The folders of the last two days stay: a request of then may still be written, since requests
    # take hours at most.
    if day < _day(now - 2 * 86_400):
        with contextlib.suppress(OSError):
            # This fails while files are in it, which is most of the time.
            (folder / day).rmdir()
