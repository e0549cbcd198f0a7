"""A provider's body: inflated if it is compressed, and read up to a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import trio

from ....core.wire.inflate import (
    SUSPECTS,
    Damaged,
    Inflater,
    UnknownEncoding,
    inflater,
    may_be_packed,
    undeclared,
)
from ....transport_errors import UnreadableBody, UpstreamFailure
from ...protocols import HeaderPairs, UpstreamResponse

# They describe the bytes on the wire, which are not what is read here.
_OF_THE_WIRE: Final = frozenset({b"content-encoding", b"content-length"})


def readable(response: UpstreamResponse) -> UpstreamResponse:
    """Return `response`, or one that inflates it if its headers say that it is compressed."""
    try:
        found = inflater(response.headers)
    except UnknownEncoding as exc:
        return UnreadableResponse(response, str(exc))
    return response if found is None else InflatedResponse(response, found)


class _Wrapped:
    def __init__(self, response: UpstreamResponse) -> None:
        self._response = response
        self.status: Final = response.status
        self.headers: HeaderPairs = [
            pair for pair in response.headers if pair[0] not in _OF_THE_WIRE
        ]

    async def aclose(self) -> None:
        await self._response.aclose()


class ResponseWithHeaders(_Wrapped):
    """An answer as it came, with other headers."""

    def __init__(self, response: UpstreamResponse, headers: HeaderPairs) -> None:
        super().__init__(response)
        self.headers = headers

    def __repr__(self) -> str:
        return f"<ResponseWithHeaders {self.status}>"

    async def receive_some(self) -> bytes:
        return await self._response.receive_some()


def headers_shown(
    response: UpstreamResponse, shown: Callable[[HeaderPairs], HeaderPairs]
) -> UpstreamResponse:
    """Return `response` with what is `shown` of its headers."""
    headers = shown(response.headers)
    return response if headers is response.headers else ResponseWithHeaders(response, headers)


class InflatedResponse(_Wrapped):
    """A compressed answer, inflated as it is read (see `core/wire/inflate.py`).

    `start` is what of it has been read already.
    """

    def __init__(self, response: UpstreamResponse, inflater: Inflater, start: bytes = b"") -> None:
        super().__init__(response)
        self._inflater = inflater
        self._pieces: Iterator[bytes] = inflater.feed(start) if start else iter(())

    def __repr__(self) -> str:
        return f"<InflatedResponse {self.status} {self._inflater}>"

    async def receive_some(self) -> bytes:
        """Return a piece. Raises `UnreadableBody` where the body is damaged."""
        while True:
            # A small body may stand for a large one, and others want to go on meanwhile.
            await trio.lowlevel.checkpoint()
            try:
                piece = next(self._pieces, b"")
            except Damaged as exc:
                raise UnreadableBody(str(exc)) from exc
            if piece:
                return piece
            data = await self._response.receive_some()
            if not data:
                return self._inflater.end()
            self._pieces = self._inflater.feed(data)


class UnreadableResponse(_Wrapped):
    """An answer in an encoding that the gateway does not read. `why` is for messages."""

    def __init__(self, response: UpstreamResponse, why: str) -> None:
        super().__init__(response)
        self.why: Final = why

    def __repr__(self) -> str:
        return f"<UnreadableResponse {self.status}: {self.why}>"

    async def receive_some(self) -> bytes:
        await trio.lowlevel.checkpoint()
        raise UnreadableBody(self.why)


async def opened(response: UpstreamResponse) -> tuple[UpstreamResponse, bytes]:
    """Return `response` and the first bytes of its body, which is inflated if it needs to be.

    Some servers and proxies compress and do not say so; the first bytes tell. Raises
    UpstreamFailure, UnreadableBody for zstd.
    """
    start = await response.receive_some()
    if start[:1] not in SUSPECTS:
        return response, start
    while may_be_packed(start) and (more := await response.receive_some()):
        start += more
    try:
        found = undeclared(start)
    except UnknownEncoding as exc:
        raise UnreadableBody(str(exc)) from exc
    if found is None:
        return response, start
    inflated = InflatedResponse(response, found, start)
    return inflated, await inflated.receive_some()


async def read_up_to(response: UpstreamResponse, limit: int, start: bytes = b"") -> bytes:
    """Return at most `limit` bytes; more is left unread, and so the connection is closed.

    `start` is what has been read already. Raises UnreadableBody.
    """
    body = bytearray()
    try:
        piece = start
        if not start:
            response, piece = await opened(response)
        while piece:
            body += piece
            if len(body) >= limit:
                break
            piece = await response.receive_some()
    except UnreadableBody:
        raise
    except UpstreamFailure:
        # A broken error answer is still that error, with what was received of it.
        pass
    return bytes(body[:limit])
