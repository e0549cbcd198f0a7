"""The caller's body as it arrives, and the caller's leaving.

Both are told by one `receive()`, so one task calls it for as long as the request lives: it takes
the body, piece by piece, and then waits for the caller to go. The pieces wait in a bounded channel:
a provider that takes them slowly makes the caller wait, by TCP.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

import trio

from ...errors import BodyTimeout, BodyTooLarge, CallerError, ClientGone
from ...stops import RunningScope

# Pieces are as large as one read of the server's, 64 KiB.
_PIECES_WAITING: Final = 2


class ReceivingClient(Protocol):
    """The side of a caller that its request comes from."""

    @property
    def length(self) -> int | None:
        """Return how long the body was said to be; None if it was not said."""
        ...

    async def receive_some(self) -> bytes:
        """Return the next bytes of the body, b"" at its end. Raises InvalidRequest, ClientGone."""
        ...

    async def wait_gone(self) -> None:
        """Return when the caller has left."""
        ...


class IncomingBody:
    """A `BodySource` that a caller sends, of up to `limit` bytes, never silent for `idle` seconds.

    `wait_gone` is to be run for as long as the request lives. `ended` says that all of the body
    has arrived; `whole`, after `head`, that all of it is in there.
    """

    def __init__(self, client: ReceivingClient, limit: int, idle: float) -> None:
        self.ended = False
        self._client = client
        self._limit = limit
        self._idle = idle
        self._taken = 0
        self._ahead: list[bytes] = []
        self._failure: CallerError | None = None
        self._pumping = trio.CancelScope()
        self._pumped = trio.Event()
        send, receive = trio.open_memory_channel[bytes](_PIECES_WAITING)
        self._send: Final = send
        self._receive: Final = receive

    def __repr__(self) -> str:
        return f"<IncomingBody {self._taken} bytes{', all of it' if self.ended else ''}>"

    @property
    def length(self) -> int | None:
        return self._client.length

    @property
    def whole(self) -> bool:
        """Say whether nothing is left to be received."""
        return self.ended and not self._receive.statistics().current_buffer_used

    async def wait_gone(self) -> None:
        """Take the body, and return when the caller has left; not once `stop` was called."""
        try:
            with self._send, self._pumping:
                await self._pump()
        except ClientGone:
            return
        finally:
            self._pumped.set()
        if not self.ended:
            # Stopped, or at fault; what is left of the body is taken by the end of the answer.
            await trio.sleep_forever()
        await self._client.wait_gone()

    async def receive_some(self) -> bytes:
        """Return the next bytes, b"" at the end.

        Raises BodyTooLarge, BodyTimeout, InvalidRequest, and ClientGone if the end never came.
        """
        if self._ahead:
            return self._ahead.pop(0)
        return await self._next()

    async def head(self, most: int) -> bytes:
        """Return the first bytes, about `most` or all there are; they are received all the same."""
        pieces: list[bytes] = []
        size = 0
        while size < most and (piece := await self._next()):
            pieces.append(piece)
            size += len(piece)
        self._ahead = pieces
        return b"".join(pieces)

    async def stop(self) -> None:
        """Receive no more, before an answer ends that comes before the body has."""
        if not self.ended:
            self._pumping.cancel("answered before the body ended")
            await self._pumped.wait()

    async def _next(self) -> bytes:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            if self._failure is not None:
                raise self._failure from None
            if not self.ended:
                raise ClientGone from None
            return b""

    async def _pump(self) -> None:
        try:
            if (self._client.length or 0) > self._limit:
                raise self._too_large()
            while piece := await self._receive_in_time():
                self._taken += len(piece)
                if self._taken > self._limit:
                    raise self._too_large()
                await self._send.send(piece)
            self.ended = True
        except CallerError as exc:
            self._failure = exc

    async def _receive_in_time(self) -> bytes:
        with RunningScope(trio.current_time() + (self._idle or math.inf)):
            return await self._client.receive_some()
        raise BodyTimeout(f"nothing more of the body came for {self._idle:g} s")

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body is larger than {self._limit} bytes")
