"""Looks names up, so that a name server that is silent about one keeps no other waiting.

`getaddrinfo` stays, with the hosts file and the search domains that people expect of it. It
blocks, for tens of seconds where a name server is silent, and a thread in it cannot be stopped.
So the threads are our own, and

    one look-up at a time for each name: all who want it share it, and a silent name holds one
    thread, however many requests wait for it
    a look-up goes on when no request waits for it any more, and the next request shares it
    a look-up that has not begun is not begun once no request waits for it
    what was found is kept for some seconds, and so is a failure
"""

from __future__ import annotations

import errno
import socket
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import trio

from .shortage import check_descriptors, shortage

# `getaddrinfo` does not say for how long an answer is valid. A new connection per request to one
# provider is then one look-up per 5 s, and a change is seen as soon.
ANSWER_SECONDS: Final = 5.0
# As short as a person needs to try again; glibc has already asked every name server twice.
FAILURE_SECONDS: Final = 1.0
# Threads at once. So many names must be silent together before another one has to wait.
MOST_THREADS: Final = 32
# Names come from the configuration; expired ones are forgotten beyond so many.
MOST_KEPT: Final = 256

Found = list[Any]
LookUp = Callable[..., Found]
# Host, port if it is no number, family, type, protocol, flags.
Query = tuple[Any, ...]


class _Flight:
    """One look-up, begun or not; `waiting` counts those who want its result.

    `result` are addresses without a port, or why there are none; it is kept `until` then.
    """

    def __init__(self) -> None:
        self.done: Final = trio.Event()
        self.waiting = 0
        self.result: Found | Exception = []
        self.until = 0.0


class Resolver(trio.abc.HostnameResolver):
    """What Trio asks for names: see `trio.socket.set_custom_hostname_resolver`.

    `look_up` is called in threads; by default it is `socket.getaddrinfo`. Numeric addresses never
    get here.
    """

    def __init__(self, look_up: LookUp | None = None, threads: int = MOST_THREADS) -> None:
        self._look_up = look_up or socket.getaddrinfo
        self._free = threads
        self._kept: dict[Query, _Flight] = {}
        self._running: dict[Query, _Flight] = {}
        self._queue: OrderedDict[Query, _Flight] = OrderedDict()

    def __repr__(self) -> str:
        return (
            f"<Resolver {len(self._running)} running, {len(self._queue)} waiting,"
            f" {len(self._kept)} kept>"
        )

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Found:
        """Return the addresses of `host`. Raises OSError; has no deadline of its own."""
        # A provider on several ports is one name.
        query = (host, None if isinstance(port, int) else port, family, type, proto, flags)
        flight = self._kept.get(query)
        if flight is None or trio.current_time() >= flight.until:
            flight = await self._fly(query)
        else:
            await trio.lowlevel.checkpoint()
        found = flight.result
        if isinstance(found, Exception):
            # One of its own for each caller: a traceback grows with each raise.
            raise found.__class__(*found.args)
        return [_with_port(each, port) for each in found] if isinstance(port, int) else [*found]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        """Return names of an address, which is asked for nowhere in the gateway."""
        return await trio.to_thread.run_sync(
            socket.getnameinfo, sockaddr, flags, abandon_on_cancel=True
        )

    async def _fly(self, query: Query) -> _Flight:
        """Wait for the look-up that is under way, or for a new one."""
        flight = self._running.get(query) or self._queue.get(query)
        if flight is None:
            flight = self._queue[query] = _Flight()
            self._begin()
        flight.waiting += 1
        try:
            await flight.done.wait()
        finally:
            flight.waiting -= 1
            if not flight.waiting and self._queue.get(query) is flight:
                del self._queue[query]
        return flight

    def _begin(self) -> None:
        """Start what waits in the queue, as long as there are threads for it."""
        while self._free and self._queue:
            query, flight = self._queue.popitem(last=False)
            self._free -= 1
            self._running[query] = flight
            try:
                self._start(query, flight)
            except RuntimeError as exc:
                # No thread can be started (pthread_create: EAGAIN).
                self._free += 1
                del self._running[query]
                flight.result = OSError(errno.ENOMEM, str(exc))
                flight.done.set()

    def _start(self, query: Query, flight: _Flight) -> None:
        token = trio.lowlevel.current_trio_token()

        def deliver(result: Any) -> None:
            try:
                token.run_sync_soon(self._end, query, flight, result.unwrap())
            except trio.RunFinishedError:
                # The process is ending, and nothing waits for names any more.
                return

        trio.lowlevel.start_thread_soon(partial(_in_thread, self._look_up, query), deliver)

    def _end(self, query: Query, flight: _Flight, result: Found | Exception) -> None:
        now = trio.current_time()
        self._free += 1
        del self._running[query]
        flight.result = result
        failed = isinstance(result, Exception)
        if not (isinstance(result, Exception) and shortage(result)):
            flight.until = now + (FAILURE_SECONDS if failed else ANSWER_SECONDS)
            if len(self._kept) >= MOST_KEPT:
                self._kept = {key: each for key, each in self._kept.items() if now < each.until}
            self._kept[query] = flight
        flight.done.set()
        self._begin()


def _in_thread(look_up: LookUp, query: Query) -> Found | Exception:
    try:
        return look_up(*query)
    except socket.gaierror as exc:
        try:
            check_descriptors()
        except OSError as short:
            return short
        return exc
    except Exception as exc:  # noqa: BLE001  # it is raised where the result is waited for
        return exc


def _with_port(found: Any, port: int) -> Any:
    family, kind, proto, name, address = found
    return family, kind, proto, name, (address[0], port, *address[2:])
