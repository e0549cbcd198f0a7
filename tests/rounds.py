"""How many rounds loops and random tests go: few by default, many with SOAK=1 (`make soak`)."""

from __future__ import annotations

import os
from typing import Final, TypeVar

Amount = TypeVar("Amount")

SOAK: Final = os.environ.get("SOAK", "") not in {"", "0"}


def rounds(few: Amount, many: Amount) -> Amount:
    """Return `many` in a soak, else `few`: how often, or the cases of a parameter."""
    return many if SOAK else few
