"""`rejected.jsonl`, beside the journals: items that can never be written, for a person to read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from .batch import Rejected, encodable
from .journal import make_folder

NAME: Final = "rejected.jsonl"
# Once the file has this many bytes, rejected items are only counted and logged.
_MOST_BYTES: Final = 16 * 1024 * 1024

_encoder: Final = msgspec.json.Encoder()


def write_rejected(folder: Path, rejected: Iterable[Rejected]) -> None:
    """Append a line for each item: the reason, and the whole item. Raises OSError."""
    make_folder(folder)
    lines = b"".join(
        _encoder.encode({"reason": each.reason, "item": encodable(each.item)}) + b"\n"
        for each in rejected
    )
    # Several processes append to the file, each all of its lines in one write.
    descriptor = os.open(
        folder / NAME, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600
    )
    try:
        if os.fstat(descriptor).st_size + len(lines) <= _MOST_BYTES:
            os.write(descriptor, lines)
    finally:
        os.close(descriptor)
