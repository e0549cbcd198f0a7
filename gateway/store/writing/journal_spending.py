"""What the journals of a folder say was spent: known even while the database is away."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from ...core.records.periods import DAY
from .batch import decode
from .journal import Journal, JournalFrame
from .rows import MOST_NANO_USD, MOST_US, NAME, clamped, text

# Bytes that are read at a time.
_GROUP_BYTES: Final = 1024 * 1024

# By kind, the name on record and the day's first second.
DailySpending = dict[tuple[Literal["token", "team"], str, int], int]


def spent_in_journals(folder: Path, seconds: float) -> DailySpending:
    """Return nano-dollars by token or team and day, of what could be read within `seconds`.

    Nothing is locked or changed: another process may be writing a journal to the database at the
    same time. So a part of this may be in the database as well, and the two must not be added.
    """
    until = time.monotonic() + seconds
    spent: Counter[tuple[Literal["token", "team"], str, int]] = Counter()
    for frame in _frames(folder):
        try:
            batch, _ = decode(frame.payload)
        except msgspec.DecodeError:
            # It is set aside when the journal is written to the database.
            continue
        for record in batch.records:
            cost = clamped(record.cost_nano_usd, MOST_NANO_USD)
            if not cost or not 0 <= record.time <= MOST_US:
                continue
            day = int(record.time // DAY) * DAY
            if token := text(record.token, NAME):
                spent["token", token, day] += cost
            if team := text(record.team, NAME):
                spent["team", team, day] += cost
        if time.monotonic() > until:
            break
    return dict(spent)


def _frames(folder: Path) -> Iterator[JournalFrame]:
    for path in sorted(folder.glob("*.journal")):
        try:
            journal = Journal(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            # It is in the database by now, or another user's.
            continue
        try:
            while frames := journal.read(_GROUP_BYTES):
                yield from frames
                journal.confirm()
        except OSError:
            continue
        finally:
            journal.close()
