"""Whether a client takes what it is sent, measured by what its TCP has acknowledged.

Not by what the kernel still takes from us: on loopback it holds up to 4 MiB and asks for more only
when a third of that has gone, which a reader of 4 kB/s needs minutes for. Nor by the kernel's own
`TCP_USER_TIMEOUT`: it ends every connection whose window has been closed that long, also one that
is opened a little again and again (`tcp_probe_timer`; readers of 1 to 16 kB/s were cut after 31 s).

One task for all connections looks at those that have something under way, since a timer and an
ioctl for each write would cost more than the write.
"""

from __future__ import annotations

import array
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol

import trio

try:
    import fcntl
    import termios
except ImportError:  # pragma: no cover  # not on this platform
    fcntl = termios = None  # type: ignore[assignment]

# Per `send_timeout` a client must take this much: one TLS record, and in 30 s 550 bytes a second,
# slower than any honest client reads.
PIECE: Final = 16384
# A kernel tells of room in a full buffer once two packets fit in (`tcp_cleanup_rbuf`). That is less
# than a piece on Ethernet and up to 128 KiB on loopback, where a reader of 1 kB/s shows itself only
# every 108 to 127 s (measured). So who has such packets gets longer, but at most so many times the
# timeout: 132 s by default.
MOST_PATIENCE: Final = 4.4
# A timeout below this many seconds is meant to be short, and gets less.
SHORT: Final = 5.0
MOST_PATIENCE_WHEN_SHORT: Final = 3.5
_RESET: Final = struct.pack("ii", 1, 0)
# How often all are looked at, as a part of `send_timeout`, and within these seconds.
_LOOKS: Final = 16
_SHORTEST, _LONGEST = 0.05, 2.0
# An ioctl and what is around it take some 2 µs: other tasks get their turn after 0.5 ms.
_AT_ONCE: Final = 256


class SendQueue:
    """What the kernel holds of a connection's output."""

    def __init__(self, sock: Any) -> None:
        self._socket = sock

    def held(self) -> int | None:
        """Return how many bytes are not acknowledged; None if the kernel does not say."""
        descriptor = self._socket.fileno()
        if descriptor < 0 or fcntl is None:
            return None
        answer = array.array("i", [0])
        try:
            fcntl.ioctl(descriptor, termios.TIOCOUTQ, answer)
        except OSError:
            return None
        return answer[0]

    def step(self) -> int:
        """Return how much a client may have to take before its kernel tells us."""
        try:
            return 2 * int(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
        except OSError:
            return 0  # not TCP

    def lift_kernel_limit(self) -> None:
        """Undo `TCP_USER_TIMEOUT`, which the listening socket has handed down."""
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            with contextlib.suppress(OSError):  # not TCP
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)

    def discard_on_close(self) -> None:
        """Reset the connection when it is closed; else the kernel would go on for minutes."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


class Progress:
    """How long a client may still take nothing: an account of seconds, filled by what it takes."""

    __slots__ = ("_credit", "_most", "_new", "_rate", "_taken", "_written")

    def __init__(self, send_timeout: float, step: int, written: int, held: int) -> None:
        most = MOST_PATIENCE if send_timeout >= SHORT else MOST_PATIENCE_WHEN_SHORT
        self._most = self._credit = send_timeout * min(max(1.0, step / PIECE), most)
        self._rate = send_timeout / PIECE
        self._new = True
        self._written = written
        self._taken = written - held

    def stalled(self, elapsed: float, written: int, held: int) -> bool:
        """Say whether the patience is over, `elapsed` seconds after the last look."""
        taken = written - held
        if taken >= self._written:
            # It has all that was under way at the last look: then it is us who are slow.
            self._credit = self._most
        else:
            gain = max(0, taken - self._taken) * self._rate
            # It began some time after the last look, so that one is not counted.
            spent = 0.0 if self._new else elapsed
            self._credit = min(self._credit - spent + gain, self._most)
        self._new = False
        self._taken, self._written = taken, written
        return self._credit <= 0


class Watched(Protocol):
    """What is needed of a connection's bytes."""

    # How many bytes were handed to the kernel so far.
    written: int
    # Whether it is being looked at; to be set with `ProgressWatch.begin`.
    watched: bool
    queue: SendQueue | None

    async def drop(self, why: str) -> None:
        """Close the connection, whose client has taken too little for too long."""
        ...


class ProgressWatch:
    """Looks at all connections of a worker that have output under way, again and again."""

    def __init__(self, send_timeout: Callable[[], float]) -> None:
        self._send_timeout = send_timeout
        self._members: dict[Watched, Progress] = {}
        self._begun = trio.Event()

    def __repr__(self) -> str:
        return f"<ProgressWatch of {len(self._members)} connections>"

    def begin(self, member: Watched) -> None:
        """Look at `member` until its client has all that it was sent."""
        queue = member.queue
        held = None if queue is None else queue.held()
        if queue is not None and held is not None:
            member.watched = True
            progress = Progress(self._send_timeout(), queue.step(), member.written, held)
            self._members[member] = progress
            self._begun.set()

    async def run(self) -> None:
        """Drop the clients that take too little, until cancelled."""
        last = trio.current_time()
        while True:
            if not self._members:
                self._begun = trio.Event()
                await self._begun.wait()
                last = trio.current_time()
            interval = min(max(_SHORTEST, self._send_timeout() / _LOOKS), _LONGEST)
            await trio.sleep(interval)
            now = trio.current_time()
            # Time in which this process did not run is not held against anyone.
            await self._look(min(now - last, 2 * interval))
            last = now

    async def _look(self, elapsed: float) -> None:
        for number, (member, progress) in enumerate(tuple(self._members.items()), 1):
            held = member.queue.held() if member.queue is not None else None
            if not held:
                self.forget(member)
            elif progress.stalled(elapsed, member.written, held):
                self.forget(member)
                await member.drop(f"the client took too little for {self._send_timeout():g} s")
            if number % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()

    def forget(self, member: Watched) -> None:
        """Stop looking at `member`. Idempotent."""
        self._members.pop(member, None)
        member.watched = False
