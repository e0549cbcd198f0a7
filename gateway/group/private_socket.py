"""A socket in the group's directory, for the processes of this user alone."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

import trio

_BACKLOG: Final = 32
_PRIVATE: Final = 0o177


def private_socket(path: Path) -> trio.socket.SocketType:
    """Listen at `path`, for this user alone. Raises OSError."""
    # A predecessor that was killed has left its socket behind.
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(_PRIVATE)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return trio.socket.from_stdlib_socket(sock)
