"""The debug log's files, a page at a time, newest first."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from ...captures.files import SUFFIX, CaptureFile, list_captures

# A folder may hold very many. So many are looked at for one page, and counted.
MOST: Final = 20_000


class ListedCapture(msgspec.Struct, frozen=True):
    """`request_id` is None where the file's name is a hash of it."""

    file: CaptureFile
    request_id: str | None


class CapturePage(msgspec.Struct, frozen=True, kw_only=True):
    """`count` and `bytes` are of the files that were looked at: of all, unless `more` is set."""

    rows: list[ListedCapture]
    next: int | None
    count: int
    bytes: int
    more: bool


def captures_page(folder: Path, text: str, start: int, limit: int) -> CapturePage:
    """Return the files from number `start` on whose names contain `text`. Raises OSError."""
    files = list(islice(list_captures(folder), MOST + 1))
    looked = files[:MOST]
    chosen = [each for each in looked if text in each.name]
    rows = [ListedCapture(each, _id_of(each.name)) for each in chosen[start : start + limit]]
    return CapturePage(
        rows=rows,
        next=start + limit if len(chosen) > start + limit else None,
        count=len(looked),
        bytes=sum(each.size for each in looked),
        more=len(files) > MOST,
    )


def _id_of(name: str) -> str | None:
    stem = name.removesuffix(SUFFIX)
    return None if stem.startswith("sha256-") else stem.partition("~")[0]
