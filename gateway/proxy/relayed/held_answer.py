"""An answer of a provider that is small, and so is read whole before any of it is passed on."""

from __future__ import annotations

from typing import Final

import trio

from ...stops import RunningScope
from ...transport_errors import ProtocolViolation
from ..attempts.reading.body import read_up_to
from ..protocols import HeaderPairs, UpstreamResponse

# In bytes. A page of a list has a hundred objects of a few hundred each.
MOST: Final = 8 * 1024 * 1024
# Seconds.
PATIENCE: Final = 30.0


class HeldAnswer:
    """An `UpstreamResponse` with the `body` that it has now."""

    def __init__(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        self.status: Final = status
        self.headers: Final = [pair for pair in headers if pair[0] != b"content-length"]
        self.body: Final = body
        self._left = body

    def __repr__(self) -> str:
        return f"<HeldAnswer {self.status}, {len(self.body)} bytes>"

    async def receive_some(self) -> bytes:
        await trio.lowlevel.checkpoint()
        data, self._left = self._left, b""
        return data

    async def aclose(self) -> None:
        # Without a checkpoint: in a cancelled scope whatever is given back behind it would stay.
        self._left = b""


async def held(response: UpstreamResponse) -> HeldAnswer:
    """Read all of `response`. Raises UpstreamFailure."""
    try:
        with RunningScope(trio.current_time() + PATIENCE):
            body = await read_up_to(response, MOST + 1)
            if len(body) > MOST:
                raise ProtocolViolation(f"the answer is larger than {MOST} bytes")
            return HeldAnswer(response.status, response.headers, body)
        raise ProtocolViolation("the answer stalled")
    finally:
        await response.aclose()
