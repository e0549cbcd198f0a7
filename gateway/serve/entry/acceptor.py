"""Takes connections from the kernel, in the place of `trio.serve_listeners`.

Trio takes one in each pass of its event loop. A busy loop makes a few dozen passes a second, so
connections then wait in the kernel by the thousand, where nothing sees how many they are, who they
are from or how long they have waited. Here as many are taken as may begin in the pass, and beyond
that those that have waited: none would have if another worker behind the same sockets were free.

What has been sent with a connection is read at once, so that it can wait for its turn without a
task, be turned away for the price of a few system calls, or be let through as a health probe.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, NoReturn, Protocol

import trio

from ...tcp import SHORTAGE
from .arrival import Listening, Socket, age_of, arrived, full, host_of
from .asker import is_probe
from .dismissal import Dismissal
from .entrance import FEWEST, Entrance
from .farewell import Farewell
from .newcomer import Newcomer
from .pausing import resumed, serve_in_turn

# How long accepting may take in a pass.
_AT_ONCE: Final = 0.01
# Who has waited longer in the kernel, no other worker was free for. The kernel tells it in steps of
# up to 10 ms.
AGED: Final = 0.01
# While many are turned away, this many are taken to be as old as the first of them: they wait in
# the order in which they came, and to ask is a system call each time.
_AGES: Final = 8
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
        self._farewell = Farewell(connections.dismissal)
        self._say_after = 0.0
        self._most = _most_connections()

    def __repr__(self) -> str:
        return f"<Acceptor {self._entrance!r}, {self._farewell!r}>"

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
            nursery.start_soon(self._farewell.lingering.run)
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
            with Listening(os.dup(listener.socket.fileno())) as sock:
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
        self, listener: Listening, begin: Callable[[Socket, bytes, float | None], None]
    ) -> None:
        """Take what there is, as far as it may begin in this pass or has waited already."""
        now = time.monotonic()
        until = now + _AT_ONCE
        silent = taken = 0
        age = 0.0
        while True:
            try:
                sock, address = listener.take()
            except BlockingIOError:
                return
            except OSError as exc:
                if exc.errno in _ITS_OWN:
                    continue
                raise
            now = time.monotonic()
            busy = self._entrance.busy
            if not busy or taken % _AGES == 0:
                age = age_of(sock)
            taken += 1
            data = arrived(sock)
            if data is None:
                sock.close()
            elif not data and self._open.room.has_room(host_of(address), self._most):
                # It takes its turn when it says something.
                silent += 1
                begin(sock, b"", None)
            else:
                self._take(sock, data, host_of(address), now, now - age, begin)
            if now > until or silent >= FEWEST or (age < AGED and self._entrance.busy):
                return

    def _take(
        self,
        sock: Socket,
        data: bytes,
        host: str,
        now: float,
        since: float,
        begin: Callable[[Socket, bytes, float | None], None],
    ) -> None:
        entrance, farewell = self._entrance, self._farewell
        probe = is_probe(data)
        glance = farewell.look(data) if entrance.busy and not probe else None
        # Most of those who are turned away ask for a line that is known to be full.
        known_full = glance is not None and entrance.is_full_for(glance.by(host))
        if known_full or not (probe or self._open.room.has_room(host, self._most)):
            entrance.note_turned_away(now)
            farewell.refuse(sock, data, glance)
        elif entrance.enter():
            begin(sock, data, now - since)
        else:
            caller = (glance or farewell.look(data)).by(host)
            waiter = Newcomer(caller, since, sock, data, begin, farewell.refuse)
            if not entrance.line_up(waiter, probe=probe, now=now):
                farewell.refuse(sock, data, glance)

    def _say(self, shortage: OSError) -> None:
        now = time.monotonic()
        if now >= self._say_after:
            self._say_after = now + _SAY_EVERY
            _log.error("no connection can be accepted: %s", os.strerror(shortage.errno or 0))


def _begin(
    handler: Handler,
    nursery: trio.Nursery,
    sock: Socket,
    data: bytes,
    waited: float | None,
) -> None:
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(full(sock)))
    connection = handler(stream)
    connection.expect(data, waited)
    nursery.start_soon(_run, stream, connection)


async def _run(stream: trio.abc.AsyncResource, connection: Served) -> None:
    try:
        await connection.run()
    finally:
        await trio.aclose_forcefully(stream)


def _most_connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return int(soft * _SHARE)
