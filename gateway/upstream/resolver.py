"""Looks names up, so that a name server that is silent about one keeps no other waiting.

`getaddrinfo` stays, with the hosts file and the search domains that people expect of it. It
blocks, for tens of seconds where a name server is silent, and a thread in it cannot be stopped.
So the threads are our own, and

    one look-up at a time for each name: all who want it share it, and a silent name holds one
    thread, however many requests wait for it
    a look-up goes on when no request waits for it any more, and the next request shares it
    a look-up that has not begun is not begun once no request waits for it
    what was found is kept for some seconds, and so is a failure
    look-ups that take long have threads of their own, so that many silent names together keep no
    other one waiting for more than a second
    where the name server says nothing, what it said last still holds (RFC 8767)
"""

from __future__ import annotations

import errno
import math
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
# Threads at once for look-ups that do not take long, and as many for names whose last one did.
MOST_THREADS: Final = 32
# A look-up that has taken so long gives its place to another one. A name server that is there
# answers within milliseconds; a resolver that has to ask others within some 100 ms.
SLOW_SECONDS: Final = 1.0
# All together are at most so many times `MOST_THREADS`, however many names are silent.
_ALL: Final = 4
# For how long an old answer is still used if no newer one is to be had, and for how long that is
# tried at first: RFC 8767 section 5 has days and 1.8 s. A provider does not move while its name
# server is down, but it may have since.
STALE_SECONDS: Final = 3600.0
STALE_AFTER: Final = 0.5
# Names come from the configuration; expired ones are forgotten beyond so many.
MOST_KEPT: Final = 256

Found = list[Any]
LookUp = Callable[..., Found]
# Host, port if it is no number, family, type, protocol, flags.
Query = tuple[Any, ...]


class _Flight:
    """One look-up, begun or not; `waiting` counts those who want its result.

    `result` are addresses without a port, or why there are none; it is kept `until` then. Addresses
    may be used `stale_until` then if need be.
    """

    def __init__(self) -> None:
        self.done: Final = trio.Event()
        self.waiting = 0
        self.began = math.inf
        self.result: Found | Exception = []
        self.until = 0.0
        self.stale_until = 0.0


class Resolver(trio.abc.HostnameResolver):
    """What Trio asks for names: see `trio.socket.set_custom_hostname_resolver`.

    `look_up` is called in threads; by default it is `socket.getaddrinfo`. Numeric addresses never
    get here.
    """

    def __init__(self, look_up: LookUp | None = None, threads: int = MOST_THREADS) -> None:
        self._look_up = look_up or socket.getaddrinfo
        self._threads = threads
        self._slow: OrderedDict[Query, None] = OrderedDict()
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
        now, flight = trio.current_time(), self._kept.get(query)
        if flight is None or now >= flight.stale_until:
            flight = await self._fly(query)
        elif now >= flight.until:
            with trio.move_on_after(STALE_AFTER):
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
            while query in self._queue:
                # Others may be found slow meanwhile, and give way.
                with trio.move_on_after(SLOW_SECONDS):
                    await flight.done.wait()
                self._begin()
            await flight.done.wait()
        finally:
            flight.waiting -= 1
            if not flight.waiting and self._queue.get(query) is flight:
                del self._queue[query]
        return flight

    def _begin(self) -> None:
        """Start what waits in the queue, as long as there are threads for it."""
        now = trio.current_time()
        taken = [0, 0]
        for query, flight in self._running.items():
            taken[self._is_slow(query, flight, now)] += 1
        for query, flight in tuple(self._queue.items()):
            if sum(taken) >= _ALL * self._threads:
                return
            slow = self._is_slow(query, flight, now)
            if taken[slow] >= self._threads:
                continue
            taken[slow] += 1
            del self._queue[query]
            self._running[query] = flight
            flight.began = now
            try:
                self._start(query, flight)
            except RuntimeError as exc:
                # No thread can be started (pthread_create: EAGAIN).
                taken[slow] -= 1
                del self._running[query]
                flight.result = OSError(errno.ENOMEM, str(exc))
                flight.done.set()

    def _is_slow(self, query: Query, flight: _Flight, now: float) -> bool:
        return query in self._slow or now - flight.began >= SLOW_SECONDS

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
        del self._running[query]
        self._slow.pop(query, None)
        if now - flight.began >= SLOW_SECONDS:
            self._slow[query] = None
            if len(self._slow) > MOST_KEPT:
                self._slow.popitem(last=False)
        flight.result = result
        if not isinstance(result, Exception):
            self._keep(query, flight, now, ANSWER_SECONDS, now + ANSWER_SECONDS + STALE_SECONDS)
        elif not shortage(result):
            old = self._kept.get(query)
            if old is not None and now < old.stale_until and _is_temporary(result):
                flight.result, stale_until = old.result, old.stale_until
            else:
                stale_until = now + FAILURE_SECONDS
            self._keep(query, flight, now, FAILURE_SECONDS, stale_until)
        flight.done.set()
        self._begin()

    def _keep(
        self, query: Query, flight: _Flight, now: float, seconds: float, stale_until: float
    ) -> None:
        flight.until = now + seconds
        flight.stale_until = stale_until
        if len(self._kept) >= MOST_KEPT:
            self._kept = {key: each for key, each in self._kept.items() if now < each.until}
        self._kept[query] = flight


def _is_temporary(error: Exception) -> bool:
    """Say whether it is no answer of the name server's: it was silent, or has failed itself."""
    return isinstance(error, socket.gaierror) and error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL)


def _in_thread(look_up: LookUp, query: Query) -> Found | Exception:
    try:
        return look_up(*query)
    except socket.gaierror as exc:
        try:
            check_descriptors()
        except OSError as short:
            return short
        return exc
    except (OSError, UnicodeError, MemoryError) as exc:
        return exc
    except Exception as exc:  # noqa: BLE001  # whatever a module of the system's makes of a name
        return socket.gaierror(socket.EAI_FAIL, f"the look-up failed: {exc!r}")


def _with_port(found: Any, port: int) -> Any:
    family, kind, proto, name, address = found
    return family, kind, proto, name, (address[0], port, *address[2:])
