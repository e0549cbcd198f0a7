"""Locks of files beside an SQLite file: which process of this host does what for all.

The kernel lets go of a lock with its process, however that ends (flock(2)).
"""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from ...file_owner import give_to_owner
from .jobs import JOBS

_PRIVATE: Final = 0o600


class LockFiles:
    """The files are `NAME.JOB.lock` beside `path`. They stay: who removes one lets two lead."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[str, int] = {}
        self._taking = threading.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"<LockFiles beside {self._path}, {', '.join(self._open) or 'none'} held>"

    def take(self) -> frozenset[str]:
        """Try to lead all jobs; return which are. May be called in a thread. Raises OSError."""
        with self._taking:
            try:
                for job in JOBS:
                    held = self._open.get(job)
                    if held is None or not self._is_there(job, held):
                        self._let_go(job)
                        self._try(job)
                return frozenset(self._open)
            finally:
                if self._closed:
                    self._let_go_of_all()

    def close(self) -> None:
        """Let go of all; where a thread still takes some, it does that by itself."""
        self._closed = True
        if self._taking.acquire(blocking=False):
            try:
                self._let_go_of_all()
            finally:
                self._taking.release()

    def _try(self, job: str) -> None:
        file = self._file(job)
        made = not file.exists()
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
        try:
            if made:
                give_to_owner(descriptor, file.parent)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        else:
            self._open[job] = descriptor

    def _is_there(self, job: str, descriptor: int) -> bool:
        """Say whether the file that is locked still is the one of its name."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(descriptor), self._file(job).stat())
        return False

    def _let_go_of_all(self) -> None:
        for job in tuple(self._open):
            self._let_go(job)

    def _let_go(self, job: str) -> None:
        descriptor = self._open.pop(job, None)
        if descriptor is not None:
            os.close(descriptor)

    def _file(self, job: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{job}.lock")
