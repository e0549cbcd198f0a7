"""A connection as the kernel hands it over: what has come with it, and for how long it has waited.

Its socket blocks, since to change that is a system call, which most connections do not live to need
while many are turned away. So it is only used in ways that do not wait. For the same reason it is
the plain `Socket` underneath Python's, which takes 2.5 µs less to make, of 7.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, Final

# What `socket.socket` is made of.
Socket = socket.SocketType

_READ: Final = 65536
# tcp_info of linux/tcp.h: eight bytes, then numbers of 32 bits; milliseconds since data came.
_LAST_DATA_RECEIVED: Final = 8 + 4 * 11
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)


class Listening(socket.socket):
    """A socket that is listened on; its descriptor is closed with it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(fileno=descriptor)
        self._parameters = int(self.family), int(self.type), self.proto

    def take(self) -> tuple[Socket, Any]:
        """Return a connection and its client's address. Raises OSError as `accept` does."""
        descriptor, address = self._accept()  # type: ignore[attr-defined]  # what `accept` calls
        return Socket(*self._parameters, descriptor), address


def full(sock: Socket) -> socket.socket:
    """Return Python's socket for `sock`, which is one no more."""
    return socket.socket(sock.family, sock.type, sock.proto, sock.detach())


def arrived(sock: Socket) -> bytes | None:
    """Return what has arrived; None if the client has gone already."""
    try:
        return sock.recv(_READ, socket.MSG_DONTWAIT) or None
    except BlockingIOError:
        return b""
    except OSError:
        return None


def has_left(sock: Socket) -> bool:
    """Say whether the client has given up, which nothing has watched for."""
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def age_of(sock: Socket) -> float:
    """Return for how many seconds a connection has been waiting to be accepted.

    Since its last data came, that is, or since it was made.
    """
    if _TCP_INFO is None or sock.family == socket.AF_UNIX:
        return 0.0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LAST_DATA_RECEIVED + 4)
    except OSError:
        return 0.0
    if len(info) < _LAST_DATA_RECEIVED + 4:
        return 0.0
    milliseconds: int = struct.unpack_from("=I", info, _LAST_DATA_RECEIVED)[0]
    return milliseconds / 1000


def host_of(address: Any) -> str:
    """Return from where a connection is, as `accept` told it."""
    return str(address[0]) if isinstance(address, tuple) else "unix"
