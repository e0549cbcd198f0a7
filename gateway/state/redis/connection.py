"""One connection to a Valkey or Redis server, on which any number of commands are under way.

coredis (anyio, and so Trio) greets, authenticates and speaks the protocol, on a stream of ours. Its
clients open connections while a command waits for one, so that a command that is given up takes a
place in the pool with it for good. So a connection is opened here, beside the requests, and a
command is given to it or fails at once.

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
from coredis.connection import BaseConnection, TCPLocation
from coredis.exceptions import MovedError, NoScriptError, RedisError

from ...core.limits.operations import StoreFailed
from ...core.state_server import StateAddress, StateServer, state_address
from ..failures import first_of, said
from .pipelined import PipelinedStream, Stream, packed

# For all that is asked while a connection is made; `StoreLink` bounds the whole.
_CONNECT: Final = 1.0

_FAILURES: Final = (
    RedisError,
    OSError,
    TimeoutError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)

# It logs each attempt to connect that fails, with a traceback; the link says so once.
logging.getLogger("coredis").setLevel(logging.CRITICAL)


def news_channel(prefix: str) -> str:
    """Return where processes tell each other what is new."""
    return f"{{{prefix}}}:news"


class _Connection(BaseConnection):
    """A connection of coredis on a stream that is open already."""

    def __init__(self, stream: PipelinedStream, where: TCPLocation, **options: Any) -> None:
        super().__init__(where, **options)
        self._given = stream

    async def _connect(self) -> Any:
        return self._given

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        try:
            await super().run(task_status=task_status)
        except RedisError:
            # Cancelled while it greets, it says that it could not connect, and nothing else.
            await trio.lowlevel.checkpoint_if_cancelled()
            raise

    def describe(self) -> str:
        return f"<connection to {self.location}>"


class RedisConnection:
    """Connects by the table `[state]`, and hears what is published on `channel`."""

    def __init__(self, settings: StateServer, channel: str = "") -> None:
        self.address: Final = state_address(settings.url)
        self._settings = settings
        self._stream: PipelinedStream | None = None
        # Called with what is published, if there is a `channel`.
        self.hear: Callable[[bytes], None] = _nobody
        self._channel = channel
        self._tls = _tls(self.address, settings)
        # The node of a cluster that has our keys, as another one has said.
        self._moved: tuple[str, int] | None = None

    def __repr__(self) -> str:
        return f"<RedisConnection to {self.address}>"

    @property
    def lost(self) -> str:
        """Return why the connection has ended by itself, if it has."""
        stream = self._stream
        return "" if stream is None else stream.lost

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Be connected for as long as the `async with` lasts. Raises StoreFailed."""
        try:
            with trio.fail_after(_CONNECT):
                opened, where = await self._open()
            stream = PipelinedStream(opened, self._heard)
            connection = _Connection(stream, TCPLocation(*where), **self._options())
            async with trio.open_nursery() as nursery:
                with trio.fail_after(_CONNECT):
                    await nursery.start(connection.run)
                stream.take_over()
                self._stream = stream
                try:
                    nursery.start_soon(stream.flush)
                    if self._channel:
                        with trio.fail_after(_CONNECT):
                            await self.ask(b"SUBSCRIBE", self._channel)
                    yield
                finally:
                    self._stream = None
                nursery.cancel_scope.cancel("the connection is not needed any more")
        except StoreFailed:
            raise
        except Exception as exc:
            failure = first_of(exc)
            if not isinstance(failure, StoreFailed):
                self._moved = None
                failure = StoreFailed(_said(failure)) if _known(failure) else failure
            raise failure from exc

    async def ask(self, command: bytes, *arguments: str | bytes | int) -> Any:
        """Return the answer. Raises StoreFailed; `NoScriptError` of coredis where that is said."""
        return await self.ask_packed(packed(command, *arguments))

    async def ask_packed(self, command: bytes) -> Any:
        """Do the same for a command that is as the protocol has it. Has no deadline of its own."""
        stream = self._stream
        if stream is None:
            raise StoreFailed("the connection is lost")
        try:
            return await stream.ask(command)
        except NoScriptError:
            raise
        except MovedError as exc:
            if self.address.kind == "cluster":
                self._moved = (exc.host, exc.port)
            raise StoreFailed(said(exc)) from exc
        except RedisError as exc:
            raise StoreFailed(said(exc)) from exc

    def _heard(self, data: bytes) -> None:
        self.hear(data)

    async def _open(self) -> tuple[Stream, tuple[str, int]]:
        """Return a stream to the right server, and where that is. Raises OSError."""
        address = self.address
        if address.path:
            return await trio.open_unix_socket(address.path), (address.path, 0)
        if address.kind == "sentinel":
            hosts: Sequence[tuple[str, int]] = [await self._primary()]
        else:
            hosts = address.hosts if self._moved is None else (self._moved, *address.hosts)
        tcp, where = await _first_reachable(hosts)
        if self._tls is None:
            return tcp, where
        # Servers end a connection without TLS's farewell.
        try:
            stream = trio.SSLStream(tcp, self._tls, server_hostname=where[0], https_compatible=True)
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(tcp)
            raise
        return stream, where

    async def _primary(self) -> tuple[str, int]:
        settings = self._settings
        stream, first = await _first_reachable(self.address.hosts)
        await stream.aclose()
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
            "stream_timeout": _CONNECT,
            "client_name": "llm-gateway",
        }


async def _first_reachable(
    hosts: Sequence[tuple[str, int]],
) -> tuple[trio.SocketStream, tuple[str, int]]:
    """Return a stream to the first of `hosts` at which something listens. Raises OSError.

    coredis leaves something unclosed behind where nothing does, each time.
    """
    for host in hosts[:-1]:
        with contextlib.suppress(OSError):
            return await trio.open_tcp_stream(*host), host
    return await trio.open_tcp_stream(*hosts[-1]), hosts[-1]


def _nobody(data: bytes) -> None:
    """Hear nothing."""


def _tls(address: StateAddress, settings: StateServer) -> ssl.SSLContext | None:
    if not address.tls:
        return None
    return ssl.create_default_context(cafile=settings.ca_file or None)


def _known(exc: BaseException) -> bool:
    return isinstance(exc, (*_FAILURES, trio.TooSlowError))


def _said(exc: BaseException) -> str:
    if isinstance(exc, trio.TooSlowError):
        return f"no connection within {_CONNECT:.0f} s"
    return said(exc)
