"""What the proxy needs of the edges, so that it knows no ASGI, no HTTP library and no store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..core.call import Call


class UpstreamResponse(Protocol):
    """A provider's answer whose head has arrived. The caller owns it and must `aclose` it."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Name and value pairs as received, names in lower case."""
        ...

    async def receive_some(self) -> bytes:
        """Return some of the body, or b"" once it has ended as it should.

        Raises `ConnectionLost` when it ends early and `ProtocolViolation` when its framing
        is wrong. Cancelled in between, only `aclose` is left to do.
        """
        ...

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, close it otherwise.

        Idempotent, and prompt even in a cancelled scope.
        """
        ...


class Upstream(Protocol):
    """Makes calls to providers."""

    async def request(self, call: Call) -> UpstreamResponse:
        """Send `call` and return its answer once the head has arrived.

        Has no deadline of its own but `call.connect_timeout`: the caller brings a cancel scope.
        Raises `UpstreamFailure`.
        """
        ...
