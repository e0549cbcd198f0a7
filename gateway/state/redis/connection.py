"""One connection to a Valkey or Redis server, on which any number of commands are under way.

coredis (anyio, and so Trio) speaks the protocol. Its clients open connections while a command
waits for one, so that a command that is given up takes a place in the pool with it for good. So a
connection is opened here, beside the requests, and a command is given to it or fails at once.
Commands that are given up are answered all the same, in their order; coredis reads past these.

All keys of a gateway are in one slot of a cluster. So it is enough to be connected to the node that
has it: any other one names it (`MOVED`).
"""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import coredis
import trio
from coredis.connection import TCPLocation
from coredis.exceptions import MovedError, NoScriptError, RedisError

from ...core.limits.operations import StoreFailed
from ...core.state_server import StateAddress, StateServer, state_address

# For all that is asked while a connection is made; `StoreLink` bounds the whole.
_CONNECT: Final = 1.0
# An answer that has not come by then never will. Requests have long gone on.
_ANSWER: Final = 30.0

_FAILURES: Final = (RedisError, OSError, TimeoutError)

# It logs each attempt to connect that fails, with a traceback; the link says so once.
logging.getLogger("coredis").setLevel(logging.CRITICAL)


def news_channel(prefix: str) -> str:
    """Return where processes tell each other what is new."""
    return f"{{{prefix}}}:news"


class RedisConnection:
    """Connects by the table `[state]`, and hears what is published on `channel`."""

    def __init__(self, settings: StateServer, channel: str = "") -> None:
        self.address: Final = state_address(settings.url)
        self._settings = settings
        self._connection: Any = None
        # Called with what is published, if there is a `channel`.
        self.hear: Callable[[bytes], None] = _nobody
        self._channel = channel
        self._tls = _tls(self.address, settings)
        # The node of a cluster that has our keys, as another one has said.
        self._moved: tuple[str, int] | None = None

    def __repr__(self) -> str:
        return f"<RedisConnection to {self.address}>"

    @property
    def lost(self) -> bool:
        connection = self._connection
        return connection is not None and not connection.usable

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Be connected for as long as the `async with` lasts. Raises StoreFailed."""
        try:
            with trio.fail_after(_CONNECT):
                place = await self._where()
            # One connection, and nobody else takes it from this pool.
            async with coredis.Redis(**place, **self._options(), max_connections=1) as client:
                with trio.fail_after(_CONNECT):
                    connection = await client.connection_pool.get_connection()
                self._connection = connection
                try:
                    async with trio.open_nursery() as nursery:
                        if self._channel:
                            connection.send_command(b"SUBSCRIBE", self._channel)
                            nursery.start_soon(self._listen, connection)
                        yield
                        nursery.cancel_scope.cancel("the connection is not needed any more")
                finally:
                    self._connection = None
        except StoreFailed:
            raise
        except Exception as exc:
            failure = _failure(exc)
            if not isinstance(failure, StoreFailed):
                self._moved = None
                failure = StoreFailed(_said(failure)) if _known(failure) else failure
            raise failure from exc

    async def ask(self, command: bytes, *arguments: str | bytes | int) -> Any:
        """Return the answer. Raises StoreFailed; `NoScriptError` of coredis where that is said."""
        connection = self._connection
        if connection is None or not connection.usable:
            raise StoreFailed("the connection is lost")
        try:
            return await connection.create_request(command, *arguments, decode=False)
        except NoScriptError:
            raise
        except MovedError as exc:
            if self.address.kind == "cluster":
                self._moved = (exc.host, exc.port)
            raise StoreFailed(_said(exc)) from exc
        except _FAILURES as exc:
            raise StoreFailed(_said(exc)) from exc

    async def _listen(self, connection: Any) -> None:
        """Hear what is published: with RESP3 it comes by the same connection as answers."""
        try:
            async for message in connection.push_messages:
                if message[0] == b"message":
                    self.hear(message[2])
        except _FAILURES:
            # `lost` tells.
            return

    async def _where(self) -> dict[str, Any]:
        """Return where to connect; something listens there. Raises OSError."""
        address = self.address
        if address.path:
            await (await trio.open_unix_socket(address.path)).aclose()
            return {"unix_socket_path": address.path}
        if address.kind == "sentinel":
            return _place(await _first_reachable([await self._primary()]))
        hosts = address.hosts if self._moved is None else (self._moved, *address.hosts)
        return _place(await _first_reachable(hosts))

    async def _primary(self) -> tuple[str, int]:
        settings = self._settings
        first = await _first_reachable(self.address.hosts)
        # The others are asked as well, should that one know of no server.
        hosts = (first, *(each for each in self.address.hosts if each != first))
        sentinel = coredis.Sentinel(
            [TCPLocation(host, port) for host, port in hosts],
            sentinel_kwargs={
                "connect_timeout": _CONNECT,
                "stream_timeout": _CONNECT,
                "username": settings.sentinel_username or None,
                "password": settings.sentinel_password or None,
                **({"ssl_context": self._tls} if self._tls else {}),
            },
        )
        async with sentinel:
            host, port = await sentinel.discover_primary(self.address.service)
        return host, port

    def _options(self) -> dict[str, Any]:
        address, settings = self.address, self._settings
        return {
            "username": settings.username or address.username or None,
            "password": settings.password or address.password or None,
            "db": address.database,
            "connect_timeout": _CONNECT,
            "stream_timeout": _ANSWER,
            "ssl_context": self._tls,
            "client_name": "llm-gateway",
        }


async def _first_reachable(hosts: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """Return the first of `hosts` at which something listens. Raises OSError.

    coredis leaves something unclosed behind where nothing does, each time.
    """
    for host in hosts[:-1]:
        with contextlib.suppress(OSError):
            await (await trio.open_tcp_stream(*host)).aclose()
            return host
    await (await trio.open_tcp_stream(*hosts[-1])).aclose()
    return hosts[-1]


def _nobody(data: bytes) -> None:
    """Hear nothing."""


def _place(host: tuple[str, int]) -> dict[str, Any]:
    return {"host": host[0], "port": host[1]}


def _tls(address: StateAddress, settings: StateServer) -> ssl.SSLContext | None:
    if not address.tls:
        return None
    return ssl.create_default_context(cafile=settings.ca_file or None)


def _failure(exc: Exception) -> Exception:
    """Return what has failed, where the tasks of a connection have put it into a group."""
    while isinstance(exc, ExceptionGroup):
        exc = exc.exceptions[0]
    return exc


def _known(exc: Exception) -> bool:
    return isinstance(exc, (*_FAILURES, trio.TooSlowError))


def _said(exc: BaseException) -> str:
    if isinstance(exc, trio.TooSlowError):
        return f"no connection within {_CONNECT:.0f} s"
    cause = exc.__cause__
    text = str(exc) or type(exc).__name__
    return text if cause is None or not str(cause) else f"{text}: {cause}"
