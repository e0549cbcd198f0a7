"""Reading and writing a Trio TCP socket with one system call where Trio needs more.

`SocketStream` tries first and waits when that fails. On a connection whose other side is asked
a question and then thinks, the first try of a read always fails: a system call and an exception
for nothing. And what succeeds at once costs a pass through the scheduler, which is fair to
others but is not needed on a path that waits for something before and after each write.
Measured on streams paced at 10 ms, both together are a tenth of what an event costs.
"""

from __future__ import annotations

import os

import trio


async def receive(sock: trio.socket.SocketType, limit: int) -> bytes:
    """Wait for input and return up to `limit` bytes, b"" at the end.

    Raises OSError when the connection was reset and `trio.ClosedResourceError` when it was
    closed here. Cancelled, it has taken nothing.
    """
    while True:
        if sock.fileno() < 0:
            raise trio.ClosedResourceError("the socket was closed")
        await trio.lowlevel.wait_readable(sock)
        try:
            return os.read(sock.fileno(), limit)
        except BlockingIOError:
            # Readiness is a hint (select(2), BUGS): ask again.
            continue


def send_now(sock: trio.socket.SocketType, data: bytes | memoryview) -> int:
    """Return how many bytes of `data` the kernel took without waiting.

    Not a checkpoint. Raises OSError when the connection is lost or closed.
    """
    try:
        return os.write(sock.fileno(), data)
    except BlockingIOError:
        return 0
