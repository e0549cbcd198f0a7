"""A provider's body: inflated if it is compressed, and read up to a bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import trio

from ....core.routing.timeouts import deadline
from ....core.wire.inflate import Damaged, Inflater, UnknownEncoding, inflater
from ....stops import RunningScope
from ....transport_errors import ProtocolViolation, UnreadableBody, UpstreamFailure
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


class InflatedResponse(_Wrapped):
    """A compressed answer, inflated as it is read (see `core/wire/inflate.py`)."""

    def __init__(self, response: UpstreamResponse, inflater: Inflater) -> None:
        super().__init__(response)
        self._inflater = inflater
        self._pieces: Iterator[bytes] = iter(())

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


async def read_whole(response: UpstreamResponse, limit: int, idle: float) -> bytes | None:
    """Return the whole body, or None if it stalled for `idle` seconds once it had begun.

    A provider may send the head long before the answer is generated, and white space to keep
    the connection alive (DeepSeek does, api-docs.deepseek.com/quick_start/rate_limit): neither
    is a beginning, and `total` bounds that wait. Raises ProtocolViolation over `limit` bytes.
    """
    # Not a list of pieces to join: thousands of small ones leave holes that the allocator keeps.
    body = bytearray()
    begun = False
    with RunningScope() as silence:
        while piece := await response.receive_some():
            body += piece
            if len(body) > limit:
                raise ProtocolViolation(f"the answer is larger than {limit} bytes")
            begun = begun or not piece.isspace()
            if begun:
                silence.deadline = deadline(trio.current_time(), idle)
        return bytes(body)
    return None


async def read_up_to(response: UpstreamResponse, limit: int) -> bytes:
    """Return at most `limit` bytes; more is left unread, and so the connection is closed.

    Raises UnreadableBody.
    """
    body = bytearray()
    try:
        while len(body) < limit and (piece := await response.receive_some()):
            body += piece
    except UnreadableBody:
        raise
    except UpstreamFailure:
        # A broken error answer is still that error, with what was received of it.
        pass
    return bytes(body[:limit])
