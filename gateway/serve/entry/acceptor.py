"""Takes connections from the kernel, in the place of `trio.serve_listeners`.

Trio takes one in each pass of its event loop. A busy loop makes a few dozen passes a second, so
connections then wait in the kernel by the thousand, where nothing sees how many they are, who they
are from or how long they have waited. Here as many are taken as may begin in the pass, and beyond
that those that have waited: none would have if another worker behind the same sockets were free.

What has been sent with a connection is read at once, so that it can wait for its turn without a
task, be turned away for the price of a few system calls, or be let through as a health probe.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, NoReturn, Protocol

import trio

from ...tcp import SHORTAGE
from .asker import asker, body_length, is_probe
from .dismissal import Dismissal
from .entrance import FEWEST, Entrance
from .lingering import Lingering
from .newcomer import Newcomer
from .pausing import resumed, serve_in_turn

# How long accepting may take in a pass.
_AT_ONCE: Final = 0.01
# Who has waited longer in the kernel, no other worker was free for. The kernel tells it in steps of
# up to 10 ms.
AGED: Final = 0.01
_READ: Final = 65536
# accept(2), "Error handling": errors of the connection that was to be accepted.
_ITS_OWN: Final = frozenset(
    getattr(errno, name)
    for name in (
        *("ECONNABORTED", "ENETDOWN", "EPROTO", "ENOPROTOOPT", "EHOSTDOWN", "ENONET"),
        *("EHOSTUNREACH", "EOPNOTSUPP", "ENETUNREACH", "EPERM"),
    )
    if hasattr(errno, name)
)
_SHORTAGE_PAUSE: Final = 0.1
_SAY_EVERY: Final = 10.0
# Of the descriptors that the process may have, those that clients may take: providers, files and
# the database need some too.
_SHARE: Final = 0.8
# tcp_info of linux/tcp.h: eight bytes, then numbers of 32 bits; milliseconds since data came.
_LAST_DATA_RECEIVED: Final = 8 + 4 * 11
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)

_log = logging.getLogger(__name__)


class Served(Protocol):
    """A connection, as far as it is started here."""

    def expect(self, data: bytes, waited: float | None) -> None: ...

    async def run(self) -> None: ...


Handler = Callable[[Any], Served]


class Room(Protocol):
    def has_room(self, host: str, most: int) -> bool: ...


class Open(Protocol):
    """The connections that are open, as far as accepting has to know."""

    @property
    def room(self) -> Room: ...

    @property
    def dismissal(self) -> Dismissal: ...

    @property
    def paused(self) -> bool: ...

    def accepting(self) -> AbstractContextManager[None]: ...


class Acceptor:
    """Stands in for `trio.serve_listeners`, with the same arguments."""

    def __init__(self, entrance: Entrance, connections: Open) -> None:
        self._entrance = entrance
        self._open = connections
        self._lingering = Lingering()
        self._say_after = 0.0
        self._most = _most_connections()

    def __repr__(self) -> str:
        return f"<Acceptor {self._entrance!r}, {self._lingering!r}>"

    async def __call__(
        self,
        handler: Handler,
        listeners: Sequence[Any],
        *,
        handler_nursery: trio.Nursery | None = None,
        task_status: trio.TaskStatus[Sequence[Any]] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._entrance.run)
            nursery.start_soon(self._entrance.crowd.run)
            nursery.start_soon(self._lingering.run)
            for listener in listeners:
                nursery.start_soon(self._accept_from, listener, handler, handler_nursery or nursery)
            task_status.started(listeners)
            await trio.sleep_forever()
        raise AssertionError("listeners are served until that is cancelled")

    async def _accept_from(
        self, listener: trio.abc.Listener[Any], handler: Handler, nursery: trio.Nursery
    ) -> None:
        with self._open.accepting():
            if isinstance(listener, trio.SocketListener):
                await self._serve(listener, handler, nursery)
            else:
                await serve_in_turn(listener, handler, nursery, self._open)

    async def _serve(
        self, listener: trio.SocketListener, handler: Handler, nursery: trio.Nursery
    ) -> None:
        begin = partial(_begin, handler, nursery)
        async with listener:
            # The same socket without Trio around it, to accept many without a checkpoint.
            with _same(listener.socket) as sock:
                while True:
                    try:
                        await trio.lowlevel.wait_readable(listener.socket)
                        if self._open.paused:
                            await resumed(self._open)
                        else:
                            self._accept(sock, begin)
                    except MemoryError:
                        self._say(OSError(errno.ENOMEM, ""))
                        await trio.sleep(_SHORTAGE_PAUSE)
                    except OSError as exc:
                        if exc.errno not in SHORTAGE:
                            raise
                        self._say(exc)
                        await trio.sleep(_SHORTAGE_PAUSE)

    def _accept(
        self, listener: socket.socket, begin: Callable[[socket.socket, bytes, float | None], None]
    ) -> None:
        """Take what there is, as far as it may begin in this pass or has waited already."""
        until = time.monotonic() + _AT_ONCE
        silent = 0
        while True:
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as exc:
                if exc.errno in _ITS_OWN:
                    continue
                raise
            sock.setblocking(False)
            now = time.monotonic()
            age = _age(sock)
            data = _arrived(sock)
            if data is None:
                sock.close()
            elif not data and self._open.room.has_room(_host(address), self._most):
                # It takes its turn when it says something.
                silent += 1
                begin(sock, b"", None)
            else:
                self._take(sock, data, _host(address), now - age, begin)
            if now > until or silent >= FEWEST or (self._entrance.busy and age < AGED):
                return

    def _take(
        self,
        sock: socket.socket,
        data: bytes,
        host: str,
        since: float,
        begin: Callable[[socket.socket, bytes, float | None], None],
    ) -> None:
        probe = is_probe(data)
        now = time.monotonic()
        if not probe and not self._open.room.has_room(host, self._most):
            self._entrance.note_turned_away(now)
            self._refuse(sock, data)
        elif self._entrance.enter():
            begin(sock, data, now - since)
        else:
            waiter = Newcomer(asker(data, host), since, sock, data, begin, self._refuse)
            if not self._entrance.line_up(waiter, probe=probe, now=now):
                self._refuse(sock, data)

    def _refuse(self, sock: socket.socket, data: bytes) -> None:
        end = data.find(b"\r\n\r\n") + 4
        head = data[:end] if end > 3 else data
        try:
            # An empty buffer takes it whole.
            sock.send(self._open.dismissal.render(head, close=True))
        except OSError:
            sock.close()
            return
        if _whole(data):
            sock.close()
        else:
            self._lingering.add(sock, trio.current_time())

    def _say(self, shortage: OSError) -> None:
        now = time.monotonic()
        if now >= self._say_after:
            self._say_after = now + _SAY_EVERY
            _log.error("no connection can be accepted: %s", os.strerror(shortage.errno or 0))


def _begin(
    handler: Handler,
    nursery: trio.Nursery,
    sock: socket.socket,
    data: bytes,
    waited: float | None,
) -> None:
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    connection = handler(stream)
    connection.expect(data, waited)
    nursery.start_soon(_run, stream, connection)


async def _run(stream: trio.abc.AsyncResource, connection: Served) -> None:
    try:
        await connection.run()
    finally:
        await trio.aclose_forcefully(stream)


@contextlib.contextmanager
def _same(sock: trio.socket.SocketType) -> Any:
    with socket.socket(fileno=os.dup(sock.fileno())) as same:
        yield same


def _arrived(sock: socket.socket) -> bytes | None:
    """Return what has arrived; None if the client has gone already."""
    try:
        return sock.recv(_READ) or None
    except BlockingIOError:
        return b""
    except OSError:
        return None


def _age(sock: socket.socket) -> float:
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


def _host(address: Any) -> str:
    return str(address[0]) if isinstance(address, tuple) else "unix"


def _whole(data: bytes) -> bool:
    """Say whether `data` is a whole request, so that no more of it can arrive."""
    end = data.find(b"\r\n\r\n") + 4
    length = body_length(data[:end]) if end > 3 else None
    return length is not None and len(data) >= end + length


def _most_connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return int(soft * _SHARE)
