"""Connections that were turned away before all of their request had arrived.

Closing a socket with unread input resets it, and the client may lose the answer (RFC 9112 section
9.6). So they are read from for a while, all of them by one task.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from typing import Final

import trio

from .arrival import Socket

# For how long, how often they are looked at, and how many at most: those are sockets as well.
SECONDS: Final = 1.0
_EVERY: Final = 0.05
_MOST: Final = 1000
_SCRATCH: Final = bytearray(65536)
# Reads from one of them in a look, so that a large body that is on its way arrives.
_READS: Final = 16


class Lingering:
    def __init__(self) -> None:
        self._sockets: deque[tuple[float, Socket]] = deque()
        self._begun = trio.Event()

    def __repr__(self) -> str:
        return f"<Lingering {len(self._sockets)}>"

    def add(self, sock: Socket, now: float) -> None:
        """Close `sock` when its client has closed, or after a second."""
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        if len(self._sockets) >= _MOST:
            self._sockets.popleft()[1].close()
        self._sockets.append((now + SECONDS, sock))
        self._begun.set()

    async def run(self) -> None:
        """Read from those that linger, until cancelled."""
        try:
            while True:
                if not self._sockets:
                    self._begun = trio.Event()
                    await self._begun.wait()
                await trio.sleep(_EVERY)
                now = trio.current_time()
                for _ in range(len(self._sockets)):
                    until, sock = self._sockets.popleft()
                    if until <= now or _ended(sock):
                        sock.close()
                    else:
                        self._sockets.append((until, sock))
        finally:
            for _, sock in self._sockets:
                sock.close()


def _ended(sock: Socket) -> bool:
    try:
        for _ in range(_READS):
            if not sock.recv_into(_SCRATCH):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False
