"""How many rounds loops and random tests go: few by default, many with SOAK=1 (`make soak`)."""

from __future__ import annotations

import os
from typing import Final

SOAK: Final = os.environ.get("SOAK", "") not in {"", "0"}


def rounds(few: int, many: int) -> int:
    """Return `many` in a soak, else `few`."""
    return many if SOAK else few
