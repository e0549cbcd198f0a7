"""A folder of this process's own for temporary files, removed at the end."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def kept_directory(folder: Path) -> Iterator[Path]:
    """Keep `folder`, which is there, until the end of the block, and then remove it.

    Raises OSError.
    """
    try:
        # The lock keeps systemd-tmpfiles away, which otherwise removes what looks unused for ten
        # days (tmpfiles.d(5)).
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield folder
        finally:
            os.close(descriptor)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
