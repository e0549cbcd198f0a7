"""The connections to one origin: a bound, a queue for its slots, and idle ones to use again.

A slot is the right to one open connection. It is taken by `acquire` and ends in exactly one
of `release` (the connection can be used again) and `forfeit` (it can't, or never was one).
Neither awaits anything, so a cancelled owner can always call them: that is why no slot leaks.
A slot that ends goes straight to the first in the queue; a later request cannot take it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec
import trio

from ..stops import running_after
from ..transport_errors import ConnectFailed, PoolTimeout
from .connection import UpstreamConnection

_CLOSED: Final = "the transport is closed"


class PoolPolicy(msgspec.Struct, frozen=True):
    """`timeout` bounds the wait for a slot; all are in seconds.

    `idle_timeout` should be below the server's own, so that it is not met at the moment it
    closes; `max_age` lets changes in DNS and load balancing take effect.
    """

    timeout: float = 2.0
    idle_timeout: float = 20.0
    max_age: float = 300.0


class PoolStats(msgspec.Struct, frozen=True):
    """A moment's counts; `in_use` includes slots whose connection is being opened."""

    idle: int
    in_use: int
    waiting: int


class _PoolWaiter:
    def __init__(self) -> None:
        self.called: Final = trio.Event()
        self.connection: UpstreamConnection | None = None
        self.refused = False


class Pool:
    def __init__(self, limit: int, policy: PoolPolicy) -> None:
        self._limit = limit
        self._policy = policy
        self._idle: list[UpstreamConnection] = []
        self._in_use = 0
        self._waiters: OrderedDict[_PoolWaiter, None] = OrderedDict()
        self._closed = False
        self._retired = False

    def __repr__(self) -> str:
        stats = self.stats
        return f"<Pool {stats.idle} idle, {stats.in_use} in use, {stats.waiting} waiting>"

    @property
    def stats(self) -> PoolStats:
        return PoolStats(len(self._idle), self._in_use, len(self._waiters))

    async def acquire(self, timeout: float) -> UpstreamConnection | None:
        """Take a slot, with an idle connection if there is one.

        Raises `PoolTimeout`, and `ConnectFailed` if the pool is closed.
        """
        if self._closed:
            raise ConnectFailed(_CLOSED)
        connection = self.take_idle()
        if connection is not None or self._in_use < self._limit:
            self._in_use += 1
            return connection
        return await self._wait(timeout)

    def take_idle(self) -> UpstreamConnection | None:
        """Return an idle connection for a slot that is already held.

        The one used last: it is the likeliest to be alive, and the others get to grow old.
        """
        while self._idle:
            connection = self._idle.pop()
            if not self._expired(connection, trio.current_time()):
                return connection
            connection.close()
        return None

    def release(self, connection: UpstreamConnection) -> None:
        """Give a slot back together with a connection that is ready for another request."""
        connection.exchanges += 1
        connection.idle_since = now = trio.current_time()
        self._put_back(connection, now)

    def forfeit(self, connection: UpstreamConnection | None) -> None:
        """Give a slot back, closing its connection."""
        if connection is not None:
            connection.close()
        if self._waiters:
            self._call_next(None)
        else:
            self._in_use -= 1

    def sweep(self) -> bool:
        """Close what is idle too long or too old; say whether anything is left here."""
        now = trio.current_time()
        for connection in self._idle:
            if self._expired(connection, now):
                connection.close()
        self._idle = [each for each in self._idle if not self._expired(each, now)]
        return bool(self._idle or self._in_use or self._waiters)

    def retire(self) -> None:
        """Close what is idle now, and each other connection when its request is done."""
        self._retired = True
        self.close_idle()

    def close_idle(self) -> None:
        """Close what is idle now."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def close(self) -> None:
        """Close idle connections, refuse waiting callers, and close used ones when they return."""
        self._closed = True
        self.close_idle()
        for waiter in self._waiters:
            waiter.refused = True
            waiter.called.set()
        self._waiters.clear()

    def _expired(self, connection: UpstreamConnection, now: float) -> bool:
        policy = self._policy
        return (
            now - connection.idle_since > policy.idle_timeout
            or now - connection.born > policy.max_age
        )

    def _put_back(self, connection: UpstreamConnection | None, now: float) -> None:
        over = self._closed or self._retired
        if connection is None or over or self._expired(connection, now):
            self.forfeit(connection)
        elif self._waiters:
            self._call_next(connection)
        else:
            self._in_use -= 1
            self._idle.append(connection)

    # Waiting for a slot...

    async def _wait(self, timeout: float) -> UpstreamConnection | None:
        waiter = _PoolWaiter()
        self._waiters[waiter] = None
        with running_after(timeout):
            try:
                await waiter.called.wait()
            except BaseException:
                # Between a cancellation and this line others run, and one of them may have
                # handed its slot to this waiter, which won't use it.
                if waiter in self._waiters:
                    del self._waiters[waiter]
                elif not waiter.refused:
                    self._put_back(waiter.connection, trio.current_time())
                raise
            if waiter.refused:
                raise ConnectFailed(_CLOSED)
            return waiter.connection
        raise PoolTimeout(f"none of {self._limit} connections became free in {timeout:g} s")

    def _call_next(self, connection: UpstreamConnection | None) -> None:
        # The slot stays in use: it only changes hands.
        waiter, _ = self._waiters.popitem(last=False)
        waiter.connection = connection
        waiter.called.set()
