"""One WebSocket of a client, between wsproto and an ASGI app (ASGI, "WebSocket").

An app that knows the extension `gateway.websocket` sees frames: `websocket.receive` and
`websocket.send` with a true `more` are a part of a message, which goes on in the next one. It also
has a `wait_gone` there, since a client that leaves while an app waits for something else is seen by
the connection alone. Its `hold_by` takes what makes room
for a message while it comes. To any other app a message is one that came whole.

As in `../cycle.py`, input is parsed only when the app calls `receive`: one that does not makes its
client wait, by TCP.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import trio
from wsproto import WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from ...core.wire.binary.socket_frames import FRAME_COST
from .. import gate
from ..byte_stream import ByteStream
from ..cycle import RequestCycle

AsgiMessage = dict[str, Any]
# Has room for so many bytes of a message.
Grow = Callable[[int], Awaitable[None]]

EXTENSION: Final = "gateway.websocket"
_HTTP: Final = "websocket.http.response"
# Seconds for an app to take what a client has sent before it left: its close, above all.
_LAST_WORDS: Final = 1.0


class WebSocketCycle:
    """Stands where a `RequestCycle` stands; `http` is that of the opening, for its refusal."""

    # What follows the opening is never thrown away unread, and no request comes behind it.
    body_ended = False
    reusable = False

    def __init__(
        self,
        stream: ByteStream,
        http: RequestCycle,
        handshake: WSConnection,
        offered: list[str],
        most: int,
    ) -> None:
        http_scope = http.scope
        self.scope: dict[str, Any] = {
            **{name: value for name, value in http_scope.items() if name != "method"},
            "type": "websocket",
            "scheme": "wss" if http_scope["scheme"] == "https" else "ws",
            "subprotocols": offered,
            "extensions": {
                **http_scope["extensions"],
                _HTTP: {},
                EXTENSION: {"wait_gone": self.wait_gone, "hold_by": self.hold_by},
            },
        }
        self.began = time.time()
        self.accepted = False
        self._stream = stream
        self._http = http
        self._ws = handshake
        self._most = most
        self._events: Iterator[Event] = iter(())
        # The frame that is being read, and how much there is of its message.
        self._pieces: list[Any] = []
        self._size = 0
        self._grow: Grow | None = None
        self._connected = False
        # What the app is told once nothing more can come.
        self._end: AsgiMessage | None = None
        self._read_out = trio.Event()
        # The answer to the latest ping that could not be written at once, for behind the next
        # write: who waits here reads nothing, and a client may take nothing before it is read.
        self._pong = b""
        self._writing = False

    def __repr__(self) -> str:
        state = "ended" if self._end else "open" if self.accepted else "opening"
        return f"<WebSocketCycle {self.scope['path']} {state}>"

    # What a connection asks of its cycle...

    @property
    def response(self) -> AsgiMessage | None:
        if self.accepted:
            return {"type": "http.response.start", "status": 101, "headers": []}
        return self._http.response

    @property
    def complete(self) -> bool:
        return self._http.complete or (self.accepted and self._closed)

    @property
    def refusal(self) -> gate.HeadRefusal | None:
        return self._http.refusal

    @refusal.setter
    def refusal(self, refusal: gate.HeadRefusal) -> None:
        self._http.refusal = refusal

    @property
    def bodiless(self) -> bool:
        return self._http.bodiless

    def take_held(self) -> bytes:
        """Return what an app has left to say: that it has failed, if it did not close."""
        if not self.accepted:
            return self._http.take_held()
        return b"" if self._closed else self._closing(CloseReason.INTERNAL_ERROR, "")

    @property
    def _closed(self) -> bool:
        return self._ws.state in (ConnectionState.LOCAL_CLOSING, ConnectionState.CLOSED)

    # ASGI...

    async def receive(self) -> AsgiMessage:
        """ASGI's receive. Says `websocket.disconnect` for good once the client has left."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        while not self.accepted and not self._stream.gone and not self._http.complete:
            await self._stream.wait_end()
        if not self.accepted:
            return self._ended(CloseReason.ABNORMAL_CLOSURE)
        while self._end is None:
            for event in self._events:
                message = await self._read(event)
                if message is not None:
                    return message
            if data := self._stream.take():
                self._ws.receive_data(data)
                self._events = self._ws.events()
            elif self._stream.gone:
                return self._ended(CloseReason.ABNORMAL_CLOSURE)
            else:
                await self._stream.wait_arrival()
        await trio.lowlevel.checkpoint()
        return self._end

    async def send(self, message: AsgiMessage) -> None:
        """ASGI's send. Once the client is gone it does nothing; `receive` told the app.

        Raises `SendStalled`, and `RuntimeError` for messages out of order.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        kind = message["type"]
        if kind.startswith(_HTTP):
            await self._http.send({**message, "type": kind.removeprefix("websocket.")})
            self._stream.wake()
        elif self._stream.gone:
            await trio.lowlevel.checkpoint()
        elif kind == "websocket.close" and not self.accepted:
            # As ASGI has it for an app that knows no better.
            await self._http.send({"type": "http.response.start", "status": 403, "headers": []})
            await self._http.send({"type": "http.response.body", "body": b""})
        else:
            self._writing = True
            try:
                await self._stream.write(self._framed(kind, message))
            finally:
                self._writing = False
            if self._pong and not self._closed:
                pong, self._pong = self._pong, b""
                await self._stream.write(pong)
            self._stream.wake()

    async def wait_gone(self) -> None:
        """Return when the client has left, and what it sent before has been taken or given up."""
        while not self._stream.gone:
            await self._stream.wait_end()
        if self._stream.inbox and self._end is None:
            with trio.move_on_after(_LAST_WORDS):
                await self._read_out.wait()

    def hold_by(self, grow: Grow) -> None:
        """Have `grow` make room for each message, before more of it is read than has arrived."""
        self._grow = grow

    def _framed(self, kind: str, message: AsgiMessage) -> bytes:
        try:
            if kind == "websocket.accept":
                data = self._ws.send(
                    AcceptConnection(
                        subprotocol=message.get("subprotocol"),
                        extra_headers=list(message.get("headers", ())),
                    )
                )
                self.accepted = True
                return data
            if kind == "websocket.send":
                finished = not message.get("more", False)
                text = message.get("text")
                if text is not None:
                    return self._ws.send(TextMessage(data=text, message_finished=finished))
                return self._ws.send(BytesMessage(data=message["bytes"], message_finished=finished))
            if kind == "websocket.close":
                return self._closing(message.get("code", 1000), message.get("reason") or "")
        except LocalProtocolError as exc:
            if self._closed or self._end is not None:
                return b""  # both sides have said their last
            raise RuntimeError(f"{kind} is out of order") from exc
        raise RuntimeError(f"Unexpected ASGI message {kind!r}")

    def _closing(self, code: int, reason: str) -> bytes:
        if self._ws.state not in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            return b""
        event = CloseConnection(code=code, reason=reason or None)
        if code == CloseReason.NO_STATUS_RCVD:
            # There is none to pass on (RFC 6455 section 7.1.5).
            event = CloseConnection(code=CloseReason.NO_STATUS_RCVD)
        data = self._ws.send(event)
        self._ended(code)
        return data

    # Reading...

    async def _read(self, event: Event) -> AsgiMessage | None:
        """Return what an event means for the app; None if nothing, or not yet."""
        if isinstance(event, Message):
            return await self._part(event)
        if isinstance(event, Ping):
            if self._ws.state is ConnectionState.OPEN:
                await self._answer(self._ws.send(event.response()))
        elif isinstance(event, CloseConnection):
            # The client's own, or what is wrong with its frames.
            end = self._ended(event.code, event.reason or "")
            await self._stream.write(self._closing(event.code, ""))
            return end
        return None

    async def _answer(self, pong: bytes) -> None:
        if self._stream.write_brief(pong):
            return
        if self.scope["scheme"] == "ws" or self._writing:
            self._pong = pong
        else:
            # Under TLS nothing is written without a wait.
            await self._stream.write(pong)

    async def _part(self, event: Message[Any]) -> AsgiMessage | None:
        self._pieces.append(event.data)
        self._size += len(event.data) + FRAME_COST
        if self._size > self._most + FRAME_COST:
            too_big = CloseReason.MESSAGE_TOO_BIG
            reason = f"a message may have {self._most} bytes at most"
            await self._stream.write(self._closing(too_big, reason))
            return self._ended(too_big, reason)
        if self._grow is not None:
            await self._grow(self._size)
        if not event.frame_finished:
            return None
        pieces, self._pieces = self._pieces, []
        message: AsgiMessage = {"type": "websocket.receive"}
        if isinstance(event, TextMessage):
            message["text"] = "".join(pieces)
        else:
            message["bytes"] = b"".join(pieces)
        if event.message_finished:
            self._size = 0
        else:
            message["more"] = True
        return message

    def _ended(self, code: int, reason: str = "") -> AsgiMessage:
        if self._end is None:
            self._end = {"type": "websocket.disconnect", "code": int(code), "reason": reason}
            if self._stream.stalled is not None:
                self._end["stalled"] = self._stream.stalled
            self._pieces = []
            self._read_out.set()
        return self._end
