"""What the proxy needs of the two sides of a session."""

from __future__ import annotations

from typing import Protocol

from ...core.routing.call import Call
from ...core.wire.binary.socket_frames import SocketClose, SocketFrame, SocketRefused
from ..protocols import Client, HeaderPairs
from ..relayed.upload import Uploader


class FrameSource(Protocol):
    async def receive(self) -> SocketFrame | SocketClose:
        """Return the next frame, or how the side has closed, which is then all that comes."""
        ...


class MessageHold(Protocol):
    """The room for one message at a time, see `traffic.body_memory.BodyHold`."""

    async def grow(self, size: int) -> None:
        """Have room for `size` bytes of it. Raises Overloaded."""
        ...

    def empty(self) -> None:
        """Give the room back: the message is dealt with."""
        ...


class CallerSocket(Client, FrameSource, Protocol):
    """The caller's side. Until it is accepted it can be answered like any other request.

    `send` sends one message, which `Exchange` does where a session fails.
    """

    @property
    def length(self) -> int | None: ...

    async def receive_some(self) -> bytes:
        """Return b"": its opening has no body."""
        ...

    def hold_by(self, hold: MessageHold) -> None:
        """Have `hold` make room for what is received from now on.

        A message is dealt with when the next one is waited for. `receive` raises Overloaded.
        """
        ...

    async def accept(self, subprotocol: str | None, headers: HeaderPairs) -> None:
        """Open it. Once only."""
        ...

    async def send_frame(self, frame: SocketFrame) -> None:
        """Send a frame; to a caller that has left, nothing. Raises SendStalled."""
        ...

    async def close(self, close: SocketClose) -> None:
        """Close it, unless it is closed."""
        ...


class ProviderSocket(FrameSource, Protocol):
    """The provider's side, see `upstream.sockets.socket`."""

    @property
    def headers(self) -> HeaderPairs: ...

    @property
    def subprotocol(self) -> str | None: ...

    async def send(self, frame: SocketFrame) -> None:
        """Send a frame. Raises UpstreamFailure."""
        ...

    async def close(self, close: SocketClose) -> None:
        """Say `close`, whose answer `receive` returns then. Raises UpstreamFailure."""
        ...

    def abort(self) -> None:
        """End it at once. Idempotent."""
        ...


class SocketOpener(Uploader, Protocol):
    """Makes calls to providers, and opens sessions with them."""

    async def connect(
        self, call: Call, subprotocols: tuple[str, ...], most: int
    ) -> ProviderSocket | SocketRefused:
        """Ask for a WebSocket, whose messages may have `most` bytes. Raises UpstreamFailure."""
        ...
