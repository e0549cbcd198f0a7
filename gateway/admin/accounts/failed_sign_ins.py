"""Which refused sign-ins get an entry in the audit log: all of a person's, few of a flood.

A caller that tries keys by the thousand must not fill the audit log, nor our memory with the
addresses it comes from. Refusals without an entry are counted, and the next entry has the count.
"""

from __future__ import annotations

from typing import Final

WINDOW: Final = 60.0
# Entries in each window: of one address, and of all.
OF_ONE: Final = 10
OF_ALL: Final = 100
# Addresses told apart in a window; all others count as one.
_ADDRESSES: Final = 1000
_OTHERS: Final = ""


class FailedSignIns:
    """Windows of a minute, each begun by the first refusal after the one before."""

    def __init__(self) -> None:
        self._until = 0.0
        self._written = 0
        self._of: dict[str, int] = {}
        # Refusals since the last entry.
        self._unwritten = 0

    def note(self, address: str | None, now: float) -> int | None:
        """Return how many refusals had no entry before this one; None if it gets none either."""
        if now >= self._until:
            self._until, self._written = now + WINDOW, 0
            self._of.clear()
        name = address or _OTHERS
        if name not in self._of and len(self._of) >= _ADDRESSES:
            name = _OTHERS
        count = self._of.get(name, 0)
        if count >= OF_ONE or self._written >= OF_ALL:
            self._unwritten += 1
            return None
        self._of[name] = count + 1
        self._written += 1
        unwritten, self._unwritten = self._unwritten, 0
        return unwritten
