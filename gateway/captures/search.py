"""Captures by the id of their request.

Callers choose ids. A caller that sends a million requests with the same id must not make a
search for it read a million files, so what is read is bounded in number and in bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from ..core.capture.transcript import Transcript, decode
from .files import MAX_READ, CaptureFile, file_stem, list_captures, read_lines

MOST: Final = 10


class FoundCaptures(msgspec.Struct):
    """What was kept under an id, newest first. `more`: there is more, older or too large."""

    rows: list[Transcript]
    more: bool = False


def find_captures(folder: Path, request_id: str) -> Iterator[CaptureFile]:
    """Yield the files that may be of the request, newest first. Raises OSError."""
    stem = re.escape(file_stem(request_id))
    return list_captures(folder, re.compile(rf"{stem}(?:~[0-9a-f]{{8}})?\.jsonl\.gz"))


def read_captures(
    folder: Path, request_id: str, *, most: int = MOST, max_bytes: int = MAX_READ
) -> FoundCaptures:
    """Return what was kept of the request; more than one if its id came again.

    At most `most` files are read, and `max_bytes` of them in all, inflated: a file that goes
    beyond is left out, with all older ones. Nothing outside `folder` is read, whatever
    `request_id` is. Raises OSError if the folder can't be read.
    """
    found = FoundCaptures([])
    reading = _Reading(max_bytes)
    for number, file in enumerate(find_captures(folder, request_id)):
        read = reading.read(folder, file) if number < most else None
        if number == most or reading.left < 0:
            found.more = True
            break
        # Names may be equal where ids are not: where a file system ignores case.
        if read is not None and read.request.id == request_id:
            found.rows.append(read)
    found.rows.sort(key=lambda each: each.request.time, reverse=True)
    return found


class _Reading:
    """Reads file after file. `left` bytes may still be inflated; below 0, a file had more."""

    def __init__(self, left: int) -> None:
        self.left = left

    def read(self, folder: Path, file: CaptureFile) -> Transcript | None:
        try:
            return decode(self._lines(folder, file))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _lines(self, folder: Path, file: CaptureFile) -> Iterator[bytes]:
        for line in read_lines(folder, file, self.left + 1):
            self.left -= len(line)
            if self.left < 0:
                return
            yield line
