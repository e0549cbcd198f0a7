"""How much more the debug log may write before somebody has to look what is in its folder.

To look costs some µs a file, and there may be 10^5 files: so it is done once for many captures,
and what is pruned then leaves room for many.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from .files import list_captures, prune_captures

# Of the limit. Other processes write into the folder too, and are only seen by looking: each may
# write so much unseen, and by so much for each may the folder be too large for a while.
_PART: Final = 16


class DiskQuota:
    """For one folder and limit at a time, and one thread. A limit of 0 is none."""

    def __init__(self) -> None:
        self._left = 0
        self._of: tuple[Path, int] | None = None

    def __repr__(self) -> str:
        return f"<DiskQuota {self._left} bytes>"

    def make_room(self, folder: Path, limit: int) -> int:
        """See to it that something may be written, and return how many files went for it.

        If there is no room the oldest go, until 1/16 of `limit` is free. Raises OSError if the
        folder can't be read or a file in it not be removed.
        """
        if not limit or (self._left > 0 and self._of == (folder, limit)):
            return 0
        # Whatever fails below, the next capture does not pass either.
        self._of = None
        part = max(1, limit // _PART)
        removed, taken = 0, sum(file.size for file in list_captures(folder))
        if taken >= limit:
            # Not 0, which would be no limit.
            pruned = prune_captures(folder, 0, max(1, limit - part), time.time())
            removed, taken = pruned.files, pruned.left_bytes
        self._left = min(part, limit - taken)
        self._of = (folder, limit)
        return removed

    def note(self, file: Path) -> None:
        """Count a file that was written."""
        try:
            self._left -= file.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            # Somebody has removed it already.
            return
