"""The pid file: the processes to send SIGHUP to, one process id a line.

Several gateways may share a file: each worker of Hypercorn's command line has its line, and so
has a second gateway that is started on the same configuration.

A line alone proves nothing: a killed gateway leaves it behind, and its process id goes to another
program, which SIGHUP would kill. So a gateway also holds a lock on the byte of the file whose
offset is its process id, which the kernel drops with the process. Asking for the lock's holder
tells, without a look at any command line, that this very process is a gateway that has this
file, and gives no false answer for containers that share a folder but no process ids. The
process that writes holds a lock on byte 0. Such locks belong to a process and end when it closes
*any* descriptor of the file (fcntl(2), "Record locks"), so a gateway opens its own only here.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import stat
import struct
import sys
from pathlib import Path
from typing import Final

_MODE: Final = 0o644
_CONTENT: Final = re.compile(rb"([1-9][0-9]{0,8}\n)*")
_LONGEST: Final = 64 * 1024
_WRITING: Final = 0

# `struct flock` of fcntl.h: type, whence, start, length, pid; BSDs begin with the start.
_BSD: Final = sys.platform == "darwin" or "bsd" in sys.platform
_FLOCK: Final = struct.Struct("qqihh" if _BSD else "hhqqi")

_log = logging.getLogger(__name__)


class PidFile:
    """This process's line in the file at `path`; with None there is none.

    A gateway serves without it as well, so nothing raises: what goes wrong is one warning.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._descriptor: int | None = None

    def __repr__(self) -> str:
        return f"<PidFile {self.path}{'' if self._descriptor is None else ', written'}>"

    def write(self) -> None:
        """Add our line, and take out those of processes that are gone."""
        if self.path is None or self._descriptor is not None:
            return
        pid = os.getpid()
        try:
            descriptor = _open_to_write(self.path)
            try:
                _claim(descriptor, pid)
                _rewrite(descriptor, [*_living(descriptor), pid])
                fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, _WRITING)
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as exc:
            # Such as the read-only folder of a container.
            _log.warning(
                "no pid file, so `gateway reload` will not find this process (%d): %s: %s",
                *(pid, self.path, exc.strerror or exc),
            )
            return
        self._descriptor = descriptor

    @property
    def descriptor(self) -> int | None:
        """Return the descriptor that has the lock; another program of this process needs it."""
        return self._descriptor

    def adopt(self, descriptor: int) -> None:
        """Go on with what this process has written before it was this program.

        The lock outlives `execve`, as long as nobody closes the file (fcntl(2)).
        """
        self._descriptor = descriptor

    def remove(self) -> None:
        """Take our line out, and the file away if it was the last."""
        if self.path is None or self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, _WRITING)
            others = _living(descriptor)
            _rewrite(descriptor, others)
            if not others and _is_at(descriptor, self.path):
                self.path.unlink()
        except OSError as exc:
            _log.warning("%s: our line stays in it: %s", self.path, exc.strerror or exc)
        finally:
            os.close(descriptor)


def running(path: Path) -> list[int]:
    """Return the processes in the file at `path` that are gateways, in the order they came.

    An absent file is an empty one. Raises OSError. Not for a gateway: it would drop its lock.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH, 1, _WRITING)
        return _living(descriptor)
    finally:
        os.close(descriptor)


def _open_to_write(path: Path) -> int:
    """Return a descriptor of the file at `path`, made if need be, and locked for writing."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, _MODE)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, _WRITING)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The last gateway took it away between our opening and our lock.
        os.close(descriptor)


def _claim(descriptor: int, pid: int) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, pid)
    except BlockingIOError as exc:
        raise OSError(errno.EAGAIN, "a process of another container has the same id") from exc


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _living(descriptor: int) -> list[int]:
    """Return the listed processes that hold their lock, which never includes this one."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    content = os.pread(descriptor, _LONGEST + 1, 0)
    if len(content) > _LONGEST or not _CONTENT.fullmatch(content):
        # A file of another kind, such as the configuration, named here by mistake.
        raise OSError(errno.EINVAL, "holds something else than process ids")
    return [pid for pid in dict.fromkeys(map(int, content.split())) if _holds(descriptor, pid)]


def _holds(descriptor: int, pid: int) -> bool:
    fields = (pid, 1, 0, fcntl.F_WRLCK, os.SEEK_SET)
    if not _BSD:
        fields = (fcntl.F_WRLCK, os.SEEK_SET, pid, 1, 0)
    found = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, _FLOCK.pack(*fields)))
    kind, holder = (found[3], found[2]) if _BSD else (found[0], found[4])
    # In another container the same number is another process. The kernel then says 0, or the
    # number that the process has here.
    return bool(kind != fcntl.F_UNLCK and holder == pid)


def _rewrite(descriptor: int, pids: list[int]) -> None:
    # In place: the locks are on this very file, not on its name.
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"".join(b"%d\n" % pid for pid in pids), 0)
