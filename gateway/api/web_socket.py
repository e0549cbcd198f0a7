"""The caller's side of a session over WebSocket, over ASGI.

Our own server adds the extension `gateway.websocket` (`serve/websocket/cycle.py`): frames in place
of whole messages, and word of a caller that leaves while nobody receives. Other servers have
neither, and `websocket.http.response` perhaps: without it an opening is refused without a reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from ..core.dialects.base import Dialect
from ..core.wire.binary.socket_frames import LOST, SocketClose, SocketFrame
from ..errors import GatewayError, SendStalled
from ..proxy.protocols import HeaderPairs
from ..proxy.sessions.sockets import MessageHold
from .requests.served_request import Message, Receive, Send

_EXTENSION: Final = "gateway.websocket"
_REFUSES: Final = "websocket.http.response"
_ACCEPTED: Final = 101


class AsgiWebSocket:
    """One session's receive and send. `request_id` goes out with the answer to its opening."""

    def __init__(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
        request_id: bytes,
        dialect: Dialect,
        *,
        always: HeaderPairs = (),
    ) -> None:
        self.status: int | None = None
        self.sealed = False
        self.dialect = dialect
        extensions: dict[str, Any] = scope.get("extensions") or {}
        self._own = extensions.get(_EXTENSION)
        self._refuses = _REFUSES in extensions
        self._receive = receive
        self._send = send
        self._always = (*always, (b"x-request-id", request_id))
        self._request_id = request_id
        self._carried: Callable[[], Awaitable[HeaderPairs]] | None = None
        # What the caller has said last; and that we have.
        self._left: SocketClose | None = None
        # Makes room for messages; and whether the next frame begins one.
        self._hold: MessageHold | None = None
        self._between = False
        self._stalled: str | None = None

    def __repr__(self) -> str:
        return f"<AsgiWebSocket {self.status or 'opening'}>"

    def carry(self, headers: Callable[[], Awaitable[HeaderPairs]]) -> None:
        """Ask `headers` when the opening is answered, and add those that it does not have."""
        self._carried = headers

    # As a session's caller...

    async def accept(self, subprotocol: str | None, headers: HeaderPairs) -> None:
        own = await self._all(headers)
        self.status = _ACCEPTED
        message = {"type": "websocket.accept", "subprotocol": subprotocol, "headers": own}
        await self._send(message)

    async def receive(self) -> SocketFrame | SocketClose:
        if self._left is not None:
            await trio.lowlevel.checkpoint()
            return self._left
        if self._hold is not None and self._between:
            self._hold.empty()
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._stalled = message.get("stalled")
            code = message.get("code")
            self._left = SocketClose(LOST if code is None else code, message.get("reason") or "")
            return self._left
        text = message.get("text")
        data = message.get("bytes") if text is None else text
        frame = SocketFrame(b"" if data is None else data, more=message.get("more", False))
        self._between = not frame.more
        if self._hold is not None and self._own is None:
            await self._hold.grow(len(frame.data))
        return frame

    def hold_by(self, hold: MessageHold) -> None:
        self._hold, self._between = hold, False
        if self._own is not None:
            # Frame by frame, as they come: a message may have many.
            self._own["hold_by"](hold.grow)

    async def send_frame(self, frame: SocketFrame) -> None:
        kind = "text" if isinstance(frame.data, str) else "bytes"
        message: dict[str, Any] = {"type": "websocket.send", kind: frame.data}
        if frame.more:
            message["more"] = True
        await self._send(message)

    async def close(self, close: SocketClose) -> None:
        if self.sealed or self.status != _ACCEPTED:
            return
        self.sealed = True
        if self._left is None:
            said = close.sendable
            await self._send({"type": "websocket.close", "code": said.code, "reason": said.reason})

    # As any client...

    @property
    def length(self) -> int | None:
        return 0

    async def receive_some(self) -> bytes:
        await trio.lowlevel.checkpoint()
        return b""

    async def read_body(self, limit: int, seconds: float) -> bytes:
        return await self.receive_some()

    async def wait_gone(self) -> None:
        """Return when the caller has left without a close; who receives is told of that.

        Raises SendStalled when it was dropped.
        """
        if self._own is None or self._left is not None:
            await trio.sleep_forever()
        else:
            await self._own["wait_gone"]()
        if self._said_goodbye:
            await trio.sleep_forever()
        if self._stalled is not None:
            raise SendStalled(self._stalled)

    @property
    def _said_goodbye(self) -> bool:
        return self._left is not None and self._left.code != LOST

    async def begin(self, status: int, headers: HeaderPairs) -> None:
        own = await self._all(headers)
        # Frames may have come behind the opening, which are no request.
        own.append((b"connection", b"close"))
        self.status = status
        if self._refuses:
            start = {"type": f"{_REFUSES}.start", "status": status, "headers": own}
            await self._send(start)

    async def send(self, data: bytes) -> None:
        """Send a message; or a piece of the answer to an opening that was refused."""
        if self.status == _ACCEPTED:
            await self.send_frame(SocketFrame(data.decode()))
        elif self._refuses:
            await self._send({"type": f"{_REFUSES}.body", "body": data, "more_body": True})

    async def keep_alive(self, data: bytes) -> None:
        raise NotImplementedError("each side of a session keeps itself alive")

    async def finish(self, data: bytes) -> None:
        self.sealed = True
        if self._refuses:
            await self._send({"type": f"{_REFUSES}.body", "body": data, "more_body": False})
        else:
            await self._send({"type": "websocket.close", "code": 1000})

    async def reply(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        await self.begin(status, (*headers, (b"content-length", b"%d" % len(body))))
        await self.finish(body)

    async def refuse(self, error: GatewayError) -> None:
        headers, body = self.dialect.error_reply(error, self._request_id.decode("ascii"))
        await self.reply(error.status, headers, body)

    async def _all(self, headers: HeaderPairs) -> list[tuple[bytes, bytes]]:
        carried, self._carried = self._carried, None
        own = [*headers, *self._always]
        if carried is not None:
            names = {name for name, _ in headers}
            own += [pair for pair in await carried() if pair[0] not in names]
        return own
