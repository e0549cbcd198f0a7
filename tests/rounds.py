"""How many rounds loops and random tests go: few by default, many with SOAK=1 (`make soak`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TypeVar

Amount = TypeVar("Amount")

SOAK: Final = os.environ.get("SOAK", "") not in {"", "0"}


def rounds(few: Amount, many: Amount) -> Amount:
    """Return `many` in a soak, else `few`: how often, or the cases of a parameter."""
    return many if SOAK else few


def swept(last: int, begin: int, every: int = 3) -> Sequence[int]:
    """Return which of the steps from 1 to `last` a sweep tries: all in a soak, else each third.

    It begins with a step that differs from case to case (`begin`), so that they share all steps.
    The last is tried by each: what comes then comes too late.
    """
    if SOAK:
        return range(1, last + 1)
    return [*range(1 + begin % every, last, every), last]
