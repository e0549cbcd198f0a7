"""What is said or written down of a name that a caller chose."""

from __future__ import annotations

from typing import Final

# As long as a name in the configuration may be.
MAX_SHOWN: Final = 256


def shortened(text: str) -> str:
    """Return `text`, or its beginning: a caller's name may have 30 MiB."""
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
