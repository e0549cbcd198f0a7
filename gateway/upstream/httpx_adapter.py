"""The transport under httpx's client, for calls where comfort counts more than microseconds.

`http_client.py` has the client that uses it. A call that a gateway's caller waits for goes to
`Transport` directly.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final, cast

import httpx
import trio

from ..core.routing.call import Call, Origin
from ..stops import RunningScope, running_after
from ..transport_errors import (
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    LocalShortage,
    PoolTimeout,
    ProtocolViolation,
    StaleConnection,
    UpstreamFailure,
)
from .response import Response
from .transport import CallPhase, Transport

# The nearest class that is here counts.
_ERRORS: Final[dict[type[Exception], type[httpx.TransportError]]] = {
    UpstreamFailure: httpx.NetworkError,
    ConnectFailed: httpx.ConnectError,
    ConnectTimeout: httpx.ConnectTimeout,
    PoolTimeout: httpx.PoolTimeout,
    # The one error of httpx's that is the client's own want.
    LocalShortage: httpx.PoolTimeout,
    ConnectionLost: httpx.ReadError,
    StaleConnection: httpx.ReadError,
    ProtocolViolation: httpx.RemoteProtocolError,
}
# What httpx raises for a URL that it cannot use: the second where a label after xn-- is no IDNA.
BAD_URL: Final = (httpx.InvalidURL, UnicodeError)
# The transport writes these itself; httpx's default `connection: keep-alive` says nothing new.
_OURS: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection"})


class HttpxTransport(httpx.AsyncBaseTransport):
    """Lends `transport` to an `httpx.AsyncClient`, which doesn't close it.

    Requests are sent whole, so a streamed one is collected first. `Origin`s made here trust
    `ca_file` and are bounded by `max_connections`, apart from those of other origins. A request
    may bring its own as the extension `origin`, and then shares that one's connections, or as
    `ca_file` what it trusts beside the system's certificates; httpx's extension `target` is what
    stands in the request line instead of the URL's path. A response has ours as the extension
    `transport_response`, to read some of its body only.
    """

    def __init__(
        self, transport: Transport, *, ca_file: str | None = None, max_connections: int = 20
    ) -> None:
        self._transport = transport
        self._ca_file = ca_file
        self._max_connections = max_connections

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        timeout: Mapping[str, float | None] = request.extensions.get("timeout", {})
        call = await self._call(request, timeout.get("connect"))
        phase: CallPhase | None = None

        def begin(new: CallPhase) -> None:
            nonlocal phase
            phase = new
            limit = timeout.get("write" if new is CallPhase.SENDING else "read")
            scope.deadline = trio.current_time() + _seconds(limit)

        response: Response | None = None
        with _translated(request), RunningScope() as scope:
            pool_timeout = _seconds(timeout.get("pool"))
            try:
                response = await self._transport.request(
                    call, pool_timeout=pool_timeout, on_phase=begin
                )
            except StaleConnection:
                # Nothing that goes this way is paid for or counted.
                response = await self._transport.request(
                    call, pool_timeout=pool_timeout, on_phase=begin
                )
        if response is None:
            if phase is CallPhase.SENDING:
                raise httpx.WriteTimeout("the request could not be sent in time", request=request)
            raise httpx.ReadTimeout("no answer in time", request=request)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, request, _seconds(timeout.get("read"))),
            extensions={"http_version": b"HTTP/1.1", "transport_response": response},
        )

    async def _call(self, request: httpx.Request, connect: float | None) -> Call:
        url = request.url
        if url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"not HTTP: {url.scheme}", request=request)
        given: Origin | None = request.extensions.get("origin")
        trusted: str | None = request.extensions.get("ca_file")
        origin = given or Origin(
            url.scheme,
            url.raw_host.decode("ascii"),
            url.port or (443 if url.scheme == "https" else 80),
            trusted or self._ca_file,
            self._max_connections,
            system_too=trusted is not None,
        )
        if request.headers.get("host", "").encode() != origin.authority:
            raise httpx.LocalProtocolError("another Host than the URL's", request=request)
        stream = cast(httpx.AsyncByteStream, request.stream)
        return Call(
            origin=origin,
            method=request.method.encode("ascii"),
            target=request.extensions.get("target", url.raw_path),
            headers=tuple(
                (name.lower(), value)
                for name, value in request.headers.raw
                if name.lower() not in _OURS
            ),
            body=b"".join([part async for part in stream]),
            # httpx has None for "no limit", and a 0 there would expire at once.
            connect_timeout=0.0 if connect is None else connect or 1e-9,
        )


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: Response, request: httpx.Request, timeout: float) -> None:
        self._response = response
        self._request = request
        self._timeout = timeout

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while part := await self._receive():
            yield part

    async def _receive(self) -> bytes:
        with _translated(self._request), running_after(self._timeout):
            return await self._response.receive_some()
        raise httpx.ReadTimeout("the body stalled", request=self._request)

    async def aclose(self) -> None:
        await self._response.aclose()


@contextlib.contextmanager
def _translated(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except UpstreamFailure as exc:
        kind = next(_ERRORS[each] for each in type(exc).__mro__ if each in _ERRORS)
        raise kind(str(exc), request=request) from exc
    except ValueError as exc:
        raise httpx.LocalProtocolError(str(exc), request=request) from exc


def _seconds(timeout: float | None) -> float:
    return math.inf if timeout is None else timeout
