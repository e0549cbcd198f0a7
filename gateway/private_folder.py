"""Folders of this process's own for temporary files, removed at the end.

Every process that uses one holds a lock on it, which the kernel lets go of however the process
ends. A folder that nobody holds is what a process has left behind that was killed; the next that
makes one of the kind removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def made_directory(prefix: str, parent: str) -> Iterator[Path]:
    """Make a folder that only this user may enter, and remove it at the end. Raises OSError.

    Folders that others of this user's processes have left are removed, if `prefix` is theirs too.
    """
    _remove_abandoned(prefix, parent)
    folder, descriptor = _new_directory(prefix, parent)
    try:
        yield folder
    finally:
        os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kept_directory(folder: Path) -> Iterator[Path]:
    """Keep `folder`, which is there, until the end of the block, and then remove it.

    Raises OSError.
    """
    try:
        with held_directory(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def held_directory(folder: Path) -> Iterator[None]:
    """Hold `folder`, another process's, as long as the block lasts. Raises OSError.

    The lock also keeps systemd-tmpfiles away, which otherwise removes what looks unused for ten
    days (tmpfiles.d(5)).
    """
    descriptor = _hold(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _hold(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _new_directory(prefix: str, parent: str) -> tuple[Path, int]:
    """Make a folder; return it, and the descriptor by which it is held."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        # Another process that begins may find it before it is held, and then removes it.
        try:
            descriptor = _hold(folder)
        except FileNotFoundError:
            continue
        if folder.is_dir():
            return folder, descriptor
        os.close(descriptor)


def _remove_abandoned(prefix: str, parent: str) -> None:
    for name in os.listdir(parent):
        if name.startswith(prefix):
            _remove_if_abandoned(os.path.join(parent, name))


def _remove_if_abandoned(folder: str) -> None:
    try:
        descriptor = os.open(folder, _FOLDER)
    except OSError:
        # Another user's, no folder, or gone.
        return
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        # Somebody holds it, or this file system knows no locks.
        return
    finally:
        os.close(descriptor)
