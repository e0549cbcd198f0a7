"""One request and its answer, between the bytes and an ASGI app.

Input is parsed only when the app calls `receive`. An app that never does so leaves a bounded
amount in the connection, and no task waits on a queue; Hypercorn's own stream pushes events into
one and hangs for good once the app no longer reads it. All parsing is synchronous; the only
awaits are for more input and for the client to take output.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import h11
import trio

from . import gate
from .byte_stream import ByteStream
from .chunked_input import Chunks, parse_chunks
from .response_writer import ResponseWriter

Message = dict[str, Any]
Scope = dict[str, Any]

# As h11 writes it.
_CONTINUE: Final = b"HTTP/1.1 100 \r\n\r\n"
# A larger body is written as it is, in a write of its own: a client that takes it slowly holds it
# once, not once more with its framing.
_COPIED: Final = 65536
_CLOSE: Final = (b"connection", b"close")


class CycleHost(Protocol):
    """What a cycle needs of the connection it runs on, besides its byte stream."""

    def answer_complete(self) -> None:
        """Note that the last byte of the answer is out."""
        ...

    def answer_headers(self) -> Iterable[tuple[bytes, bytes]]:
        """Return the header fields that the server adds to every answer."""
        ...


class RequestCycle:
    __slots__ = (
        "_crowded",
        "_expecting",
        "_held",
        "_host",
        "_on_gone",
        "_parser",
        "_stream",
        "_unread",
        "_writer",
        "began",
        "body_ended",
        "complete",
        "refusal",
        "response",
        "scope",
    )

    def __init__(
        self, stream: ByteStream, host: CycleHost, parser: h11.Connection | None, scope: Scope
    ) -> None:
        self.scope = scope
        self.response: Message | None = None
        self.complete = False
        # Set when the body turns out malformed while the app reads it.
        self.refusal: gate.HeadRefusal | None = None
        self.began = time.time()
        self._stream = stream
        self._host = host
        self._parser = parser
        headers = scope["headers"]
        self._writer = ResponseWriter(
            head_only=scope["method"] == "HEAD",
            old=scope["http_version"] == "1.0",
            close=any(
                b"close" in _options(value) for name, value in headers if name == b"connection"
            ),
        )
        # How much of the body is still to come. Only chunks are h11's to read (RFC 9112 section
        # 6.3: with neither field there is no body).
        fields = dict(headers)
        self._unread: int | None = int(fields.get(b"content-length", 0))
        if b"transfer-encoding" in fields:
            self._unread = None
        # The client sends no body before it is told to, or has waited for a while.
        self._expecting = parser is not None and parser.they_are_waiting_for_100_continue
        # All of the request has been taken from the connection.
        self.body_ended = False
        # The last look at the body found more chunks than are parsed at once.
        self._crowded = False
        self._held = b""
        self._on_gone: Callable[[Message], None] | None = None

    def __repr__(self) -> str:
        state = "complete" if self.complete else "answering" if self.response else "asked"
        return f"<RequestCycle {self.scope['method']} {self.scope['path']} {state}>"

    @property
    def reusable(self) -> bool:
        """Whether this cycle left the connection fit for another."""
        return self.complete and self._writer.keeps_alive and self._finish_body()

    @property
    def bodiless(self) -> bool:
        """Whether the answer has no body, whatever the app sends."""
        return self._writer.bodiless

    async def receive(self) -> Message:
        """ASGI's receive. Says `http.disconnect` when the client leaves or has its answer.

        Also when the body turns out malformed, and then it can still be answered.
        """
        while not (self.complete or self.refusal or self._stream.gone):
            if self._crowded:
                self._crowded = False
                await trio.lowlevel.checkpoint()
            elif self.body_ended:
                await self._stream.wait_end()
            elif message := self._next_message():
                return message
            elif self._expecting and self.response is None:
                # Not before the app asks for the body: one that refuses by the head alone saves
                # the client from sending it (RFC 9110 section 10.1.1).
                self._expecting = False
                await self._stream.write(_CONTINUE)
            else:
                await self._stream.wait_arrival()
        return self._disconnected()

    def _disconnected(self) -> Message:
        """Return ASGI's message, with the reason if it is not that the client closed.

        An app that does not know these members sees a client that left.
        """
        message = {"type": "http.disconnect"}
        if self.refusal is not None:
            message["malformed"] = self.refusal.message
        elif self._stream.stalled is not None:
            message["stalled"] = self._stream.stalled
        return message

    def take_arrived(self) -> bytes | None:
        """Return the body if its length is known and all of it has come; None leaves it there."""
        unread = self._unread
        if self.body_ended or unread is None or unread > len(self._stream.inbox):
            return None
        self._unread, self._expecting, self.body_ended = 0, False, True
        return self._stream.take(unread)

    def when_gone(self, call: Callable[[Message], None] | None) -> None:
        """Call this, once, with what `receive` will say when the client has left.

        None takes it back.
        """
        self._on_gone = call
        if self._stream.gone:
            self.tell_gone()

    def tell_gone(self) -> None:
        """Take note that the connection's reading task has come to its end.

        That task is not the one that writes, so the app has been told of a stalled write by now.
        """
        call, self._on_gone = self._on_gone, None
        if call is not None:
            call(self._disconnected())

    async def send(self, message: Message) -> None:
        """ASGI's send. Once the client is gone it does nothing; `receive` told the app.

        Raises `SendStalled`, and `RuntimeError` for messages out of order.
        """
        # Cancelled here, before anything has been framed, the answer can still be ended properly.
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._stream.gone:
            await trio.lowlevel.checkpoint()
        elif message["type"] == "http.response.body":
            await self._send_body(message.get("body", b""), message.get("more_body", False))
        elif message["type"] == "http.response.start":
            self._start(message)
        else:
            raise RuntimeError(f"Unexpected ASGI message {message['type']!r}")

    def send_part(self, body: bytes) -> bool | None:
        """Send a part of the body if that needs no waiting; say whether all of it is sent.

        None if nothing was done. Of a part that is half sent the rest goes with the next `send`.
        """
        writer = self._writer
        if self._held or self.complete or writer.bodiless or len(body) > _COPIED:
            return None
        if self.response is None or self._stream.gone:
            return None
        output = writer.data(body)
        sent = self._stream.write_now(output)
        if sent == len(output):
            return True
        if not sent and writer.chunked:
            return None
        self._held = output[sent:]
        return False

    def take_held(self) -> bytes:
        """Return what is still held back: the head, or the rest of a part of the body."""
        held, self._held = self._held, b""
        return held

    def _start(self, message: Message) -> None:
        if self.response is not None:
            raise RuntimeError("The response has already been started")
        headers = list(message.get("headers", ()))
        # An app that closes by itself has said so already.
        headers += [pair for pair in self._host.answer_headers() if pair not in headers]
        if self.refusal is not None and _CLOSE not in headers:
            headers.append(_CLOSE)
        # Held back for the first of the body: one segment and one system call less.
        self._held = self._writer.begin(message["status"], headers)
        self.response = message

    async def _send_body(self, body: bytes, more: bool) -> None:
        if self.response is None or self.complete:
            raise RuntimeError("The response is not under way")
        output, self._held = self._held, b""
        if body and not self._writer.bodiless:
            if len(body) > _COPIED:
                output = await self._send_uncopied(output, body)
            else:
                output += self._writer.data(body)
        if not more:
            output += self._writer.end()
        # An empty piece with more to come asks for the head alone.
        if output:
            await self._stream.write(output)
        if not more:
            self.complete = True
            self._host.answer_complete()

    async def _send_uncopied(self, head: bytes, body: bytes) -> bytes:
        """Write `head` and `body`, and return what frames the body's end."""
        end = b""
        if self._writer.chunked:
            head += b"%x\r\n" % len(body)
            end = b"\r\n"
        else:
            self._writer.count(len(body))
        await self._stream.write(head)
        await self._stream.write(body)
        return end

    # The request's body...

    def _next_message(self) -> Message | None:
        """Return what has arrived of the body, as one message."""
        parts: list[bytes] = []
        try:
            self._parse_body(parts.append)
        except h11.RemoteProtocolError as error:
            self.refusal = gate.bad(f"The request's body is malformed: {gate.said(error)}.")
            return self._disconnected()
        if parts or self.body_ended:
            body = b"".join(parts)
            return {"type": "http.request", "body": body, "more_body": not self.body_ended}
        return None

    def _finish_body(self) -> bool:
        """Skip what the app left of the body, if it is little and all here already."""
        if not self.body_ended:
            try:
                self._parse_body(lambda _: None)
            except h11.RemoteProtocolError:
                return False
        return self.body_ended

    def _parse_body(self, keep: Callable[[bytes], None]) -> None:
        if self._unread is None:
            self._expecting = self._expecting and not self._stream.inbox
            state = parse_chunks(self._parser, self._stream, keep)
            self.body_ended, self._crowded = state is Chunks.ENDED, state is Chunks.MORE
            return
        if self._unread and (data := self._stream.take(self._unread)):
            self._expecting = False
            self._unread -= len(data)
            keep(data)
        self.body_ended = not self._unread


def _options(value: bytes) -> list[bytes]:
    return [option.strip() for option in value.lower().split(b",")]
