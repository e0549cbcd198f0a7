"""Whether the code that is now on disk can be the supervisor of what runs; see `succession`."""

from __future__ import annotations

from pathlib import Path

# All that a supervisor needs is imported with it.
from . import handover, several  # noqa: F401
from .trial import check


def rehearse(file: Path | None, bind: str | None, descriptor: int) -> int:
    """Say whether this code can go on with what the supervisor says; return the exit status."""
    handover.read(descriptor)
    return check(file, bind)
