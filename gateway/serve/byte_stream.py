"""The bytes of one connection: a socket that is watched for its whole life.

Watching never stops while the connection lives, or a client that leaves behind a pipelined
request would go unseen (Hypercorn parks its reader there). Reading is bounded instead: a task
that waits for input gets all there is, and without one only a little is read ahead. Writing is
bounded by the client's progress (`progress.py`), not shielded as in Hypercorn, where a client that
does not read pins its request for ever.

Every fault on either side ends in `lose`, which closes the socket and wakes every waiting task.
"""

from __future__ import annotations

import contextlib
import errno
import math
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import trio

from ..errors import SendStalled
from ..stops import running_after
from ..tcp import hung_up, receive, send_now
from .entry.crowd import READ, Crowd
from .progress import PIECE, ProgressWatch, SendQueue

__all__ = ["PIECE", "READ_AHEAD", "ByteStream"]

# Enough to see a client leave behind a pipelined request of ordinary size.
READ_AHEAD: Final = 65536
# Beyond that the socket is not read but asked, which takes a system call each time.
HANG_UP_INTERVAL: Final = 1.0
# How much of the requests that are sent behind one is thrown away. No client sends so much before
# it has an answer; one that does is asked again, as above, and held up by TCP.
SKIPPED_BYTES: Final = 16 << 20
# After the last answer, how long and how much to go on reading. Closing a socket that holds
# unread input resets it, and the client may lose the answer to that (RFC 9112 section 9.6).
LINGER_SECONDS: Final = 1.0
LINGER_BYTES: Final = 1 << 20

_LOST: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class ByteStream:
    """`transport` is the socket stream, `stream` the same or TLS over it.

    `progress` watches what the client takes. Where the kernel does not say it, each piece must be
    taken within `send_timeout`. `stalled` says why the client was dropped, if it did not leave.
    """

    def __init__(
        self,
        stream: Any,
        transport: Any,
        send_timeout: float,
        progress: ProgressWatch,
        crowd: Crowd | None = None,
    ) -> None:
        self.gone = False
        self.overrun = False
        self.stalled: str | None = None
        self.written = 0
        self.watched = False
        self.queue: SendQueue | None = None
        self.inbox = bytearray()
        self._stream = stream
        self._transport = transport
        self._socket = stream.socket if isinstance(stream, trio.SocketStream) else None
        if isinstance(transport, trio.SocketStream):
            self.queue = SendQueue(transport.socket)
            self.queue.lift_kernel_limit()
        self._progress = progress
        self._crowd = crowd
        self._send_timeout = send_timeout
        self._writing = trio.Lock()
        self._arrivals = trio.lowlevel.ParkingLot()
        self._endings = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()
        self._lingered: int | None = None
        self._skipped = 0
        self.torn = False

    async def lose(self) -> None:
        """Close at once; a task that is writing or waiting returns. Idempotent."""
        self.gone = True
        if self._crowd is not None and self._socket is not None:
            self._crowd.forget(self._socket.fileno())
        try:
            await trio.aclose_forcefully(self._transport)
        finally:
            # Last, without a checkpoint behind it: a stalled write is told to its app before
            # the app hears of a disconnect and takes it for the client's own.
            self.wake()
            self._room.unpark_all()

    async def drop(self, why: str) -> None:
        """Close since the client takes nothing; a task that is writing raises `SendStalled`."""
        if self.stalled is None and not self.gone:
            self.stalled = why
            if self.queue is not None:
                self.queue.discard_on_close()
        await self.lose()

    def _note_fault(self, fault: BaseException) -> None:
        """Tell a client whose machine answers no more from one that closed its connection."""
        for each in (fault, fault.__cause__):
            if isinstance(each, OSError) and each.errno == errno.ETIMEDOUT and not self.gone:
                self.stalled = self.stalled or "the client's machine does not answer any more"

    # Reading...

    async def read(
        self,
        on_unasked: Callable[[], None],
        all_asked: Callable[[], bool] = lambda: False,
        dealt_with: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        """Read until the end; `on_unasked` is called for input that no task waits for.

        `dealt_with` may take input before the task that waits for it is woken, and says so.

        `all_asked` says whether what waits to be taken is no part of a request that is being
        answered. If so much of it has come that no more is read, it is thrown away after a while,
        and `overrun` says so: else a client that leaves behind it would not be seen.
        """
        deal = partial(self._deal, dealt_with)
        try:
            while True:
                while (limit := self._wanted()) <= 0:
                    with trio.move_on_after(HANG_UP_INTERVAL) as pause:
                        await self._room.park()
                    if pause.cancelled_caught:
                        if hung_up(self._transport.socket):
                            await self.lose()
                            return
                        self.overrun = self.overrun or all_asked()
                if self._socket is None:
                    data = await self._stream.receive_some(limit)
                elif self._crowd is not None and self._crowd.gathers and limit >= READ:
                    found = await self._crowd.receive(self._socket.fileno(), deal)
                    if found is None or (found and self._arrived(found, on_unasked, None)):
                        continue
                    break
                else:
                    data = await receive(self._socket, limit)
                if not data or not self._arrived(data, on_unasked, dealt_with):
                    break
        except _LOST as fault:
            self._note_fault(fault)
        await self.lose()

    def _arrived(
        self,
        data: bytes,
        on_unasked: Callable[[], None],
        dealt_with: Callable[[bytes], bool] | None,
    ) -> bool:
        """Put what has arrived to its place; say whether to read on."""
        if self._lingered is not None:
            self._lingered += len(data)
            return self._lingered < LINGER_BYTES
        if self.overrun:
            self._skipped += len(data)
        elif not self._arrivals:
            self.inbox += data
            on_unasked()
        elif dealt_with is None or self.inbox or not dealt_with(data):
            self.inbox += data
            self._arrivals.unpark_all()
        else:
            return not self.torn
        return True

    def _deal(self, dealt_with: Callable[[bytes], bool], data: bytes) -> bytes | None:
        """Deal with `data` if that is possible here; return what is left for the reader."""
        waits = self._arrivals and not self.inbox and self._lingered is None and not self.overrun
        if not waits or not dealt_with(data):
            return data
        return b"" if self.torn else None

    def _wanted(self) -> int:
        if self._arrivals or self._lingered is not None:
            return READ_AHEAD
        if self.overrun:
            return min(READ_AHEAD, SKIPPED_BYTES - self._skipped)
        return READ_AHEAD - len(self.inbox)

    def take(self, count: int | None = None) -> bytes:
        """Hand over the first `count` bytes of what has arrived, or all; b"" if nothing has."""
        data = bytes(self.inbox[:count])
        del self.inbox[:count]
        self._room.unpark_all()
        return data

    def put_back(self, data: bytes) -> None:
        """Return what was taken but belongs to the next request."""
        self.inbox[:0] = data

    async def wait_arrival(self) -> None:
        """Wait for input, for `gone` or for `wake`."""
        self._room.unpark_all()
        await self._arrivals.park()

    async def wait_end(self) -> None:
        """Wait for `gone` or for `wake`, but not for input."""
        await self._endings.park()

    def wake(self) -> None:
        """Let every task that waits look again."""
        self._arrivals.unpark_all()
        self._endings.unpark_all()

    # Writing...

    def write_now(self, data: bytes | memoryview, *, watch: bool = True) -> int:
        """Return how many bytes the kernel takes without waiting; the others are for `write`."""
        if self._socket is None or self.gone or self._writing.locked():
            return 0
        try:
            sent = send_now(self._socket, data)
        except _LOST as fault:
            self._note_fault(fault)
            return 0  # the reader learns of it by itself
        self.written += sent
        if watch and not self.watched:
            self._progress.begin(self)
        return sent

    def write_brief(self, data: bytes) -> bool:
        """Write `data` if all of it can be written now; say whether that was so.

        If just a part of it could, it says so too, and `read` ends the connection.
        """
        sent = self.write_now(data, watch=False)
        self.torn = 0 < sent < len(data)
        return sent > 0

    def hang_up(self) -> None:
        """Have the reader end the connection."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    async def write(self, data: bytes | memoryview) -> None:
        """Return when the client's side has taken `data`, or at once when it is gone.

        Cancelled or failed in between, the connection is lost: the rest could not be framed
        any more. Raises `SendStalled`.
        """
        try:
            # The usual case: no other task writes and the kernel has room, so nothing waits.
            if (sent := self.write_now(data)) == len(data):
                return
            data = memoryview(data)[sent:]
            async with self._writing:
                if not self.gone:
                    await self._write_pieces(data)
        except SendStalled as stalled:
            await self.drop(str(stalled))
            raise
        except _LOST as fault:
            self._note_fault(fault)
            await self.lose()
        except BaseException:
            await self.lose()
            raise
        if self.stalled is not None:
            raise SendStalled(self.stalled)

    async def _write_pieces(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        for start in range(0, len(data), PIECE):
            piece = view[start : start + PIECE]
            self.written += len(piece)
            if not self.watched:
                self._progress.begin(self)
            timeout = math.inf if self.watched else self._send_timeout
            with running_after(timeout) as patience:
                await self._stream.send_all(piece)
            if patience.cancelled_caught:
                raise SendStalled(f"the client took too little for {timeout:g} s")

    async def linger(self) -> None:
        """Close so that the client can still read its last answer."""
        self._lingered = 0
        self._room.unpark_all()
        with trio.move_on_after(LINGER_SECONDS):
            try:
                if not self.gone:
                    # Under TLS as well: Trio has no way to send its end and go on reading,
                    # and HTTP's own framing says whether the answer is whole.
                    await self._transport.send_eof()
            except _LOST:
                self.gone = True
            while not self.gone:
                await self._endings.park()
        await self.lose()
