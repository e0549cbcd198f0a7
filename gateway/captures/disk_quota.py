"""How much more the debug log may write before its folder has to be listed again.

A listing costs some µs a file, and there may be 10^5 files. So one listing serves many captures,
and what is pruned after it leaves room for many.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from .files import list_captures, prune_captures

# The part of the limit that is granted at a time. Other processes write into the folder too, and
# only a listing shows it: the folder may exceed its limit by this part for each of them.
_PART: Final = 16


class DiskQuota:
    """Serves one folder, one limit and one thread at a time. A limit of 0 is no limit."""

    def __init__(self) -> None:
        self._left = 0
        self._of: tuple[Path, int] | None = None

    def __repr__(self) -> str:
        return f"<DiskQuota {self._left} bytes>"

    def make_room(self, folder: Path, limit: int) -> int:
        """Make sure that a file may be written; return how many files were removed for it.

        If there is no room the oldest files go, until 1/16 of `limit` is free. Raises OSError if
        the folder can't be read or a file in it can't be removed.
        """
        if not limit or (self._left > 0 and self._of == (folder, limit)):
            return 0
        # If anything below fails, the next capture must look again.
        self._of = None
        part = max(1, limit // _PART)
        removed, taken = 0, sum(file.size for file in list_captures(folder))
        if taken >= limit:
            # A limit of 0 would be no limit.
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
            # Another process has removed it already.
            return
