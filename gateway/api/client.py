"""The caller's side of one request, over ASGI.

Two things about Hypercorn shape it. `send()` never fails because the caller left: only
`receive()` says so. And its queue towards the app holds ten events: an app that answers without
taking the rest of the body leaves Hypercorn's reader blocked for ever, with the task and the
socket (measured; a test guards it). So during the whole life of a request one task receives:
`read_body`, then `wait_gone`, and `_finish_early` for an answer that comes before.

Our own server (`serve/cycle.py`) adds to `http.disconnect` what Hypercorn can't tell: `malformed`,
the body can't be read and the caller still waits for an answer, and `stalled`, the caller was
dropped since it took nothing or its machine does not answer. It also hands over a body that has
arrived, and calls when the caller leaves (`ServedRequest`), which saves a short request two cancel
scopes and a task of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio

from ..core.dialects.base import Dialect
from ..errors import (
    BodyTimeout,
    BodyTooLarge,
    ClientGone,
    GatewayError,
    InvalidRequest,
    SendStalled,
)
from ..lifecycle import Lifecycle
from ..proxy.protocols import HeaderPairs
from ..stops import RunningScope
from .requests.served_request import Message, Receive, Send, ServedRequest

# How long the rest of a refused body is read and thrown away. Closing with unread bytes makes
# TCP reset the connection, and a reset can overtake the answer (RFC 9112 section 9.6).
LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 8 * 1024 * 1024
# The same for a body that there was no room for. Its caller is known, did nothing wrong and is
# told to come back, so it should hear that, and many of them come at once.
CROWDED_SECONDS: Final = 10.0

# What a socket takes at once, without the caller reading any of it.
SMALL: Final = 64 * 1024


class AsgiClient:
    """One request's receive and send. `request_id` goes out with every answer."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        request_id: bytes,
        lifecycle: Lifecycle,
        dialect: Dialect,
        *,
        has_body: bool = True,
        content_length: int | None = None,
        always: HeaderPairs = (),
        served: ServedRequest | None = None,
    ) -> None:
        self.status: int | None = None
        # What errors are written in; the route may set another.
        self.dialect = dialect
        self._receive = receive
        self._send = send
        self._lifecycle = lifecycle
        self._served = served
        self.send_part = None if served is None else served.send_part
        self._content_length = content_length
        # The headers of every answer, errors included.
        self._always = (*always, (b"x-request-id", request_id))
        self._request_id = request_id
        self._carried: Callable[[], Awaitable[HeaderPairs]] | None = None
        self._before_last: Callable[[], Awaitable[None]] | None = None
        self._before_body: Callable[[int], Awaitable[None]] | None = None
        # All of the body has been taken from Hypercorn.
        self._body_ended = not has_body
        self._linger_seconds, self._linger_bytes = LINGER_SECONDS, LINGER_BYTES
        self._gone = False
        self._malformed: str | None = None
        self.sealed = False
        self._finishing = False
        self._stalled = False
        # Why the caller was dropped, if it did not leave.
        self._dropped: str | None = None

    def carry(self, headers: Callable[[], Awaitable[HeaderPairs]]) -> None:
        """Ask `headers` when the answer's head is sent, and add those that it does not have.

        It is called once and let go; see `let_go`.
        """
        self._carried = headers

    def before_last(self, call: Callable[[], Awaitable[None]]) -> None:
        """Call this, once, when the answer's last bytes are about to be sent.

        After them if they are many: a caller that reads them slowly has not been served yet.
        """
        self._before_last = call

    def before_body(self, call: Callable[[int], Awaitable[None]]) -> None:
        """Call this with the bytes that the body will have, as far as is known, before each part.

        It waits until there is room for them.
        """
        self._before_body = call

    def let_go(self) -> None:
        """Call nothing any more of what was asked for.

        What that belongs to refers to this client, and a cycle of references would keep it all,
        the request's body included, until the garbage collector comes by.
        """
        self._carried = self._before_last = self._before_body = None

    def take_arrived(self, limit: int) -> bytes | None:
        """Return the body if it is short, so that there is room, and has arrived; else None."""
        length = self._content_length
        if self._served is None or length is None or length > min(limit, SMALL):
            return None
        body = None if self._body_ended else self._served.take_arrived()
        if body is not None:
            self._body_ended, self._before_body = True, None
        return body

    async def read_body(self, limit: int, seconds: float) -> bytes:
        """Return the body.

        Raises InvalidRequest (400), BodyTooLarge (413), BodyTimeout (408), ClientGone, and what
        `before_body` does.
        """
        too_large = BodyTooLarge(f"the body is larger than {limit} bytes")
        if self._content_length is not None and self._content_length > limit:
            raise too_large
        grow, self._before_body = self._before_body, None
        room = limit if grow is None else self._content_length or 0
        if grow is not None and room:
            self._linger_seconds, self._linger_bytes = CROWDED_SECONDS, limit
            await grow(room)
            self._linger_seconds, self._linger_bytes = LINGER_SECONDS, LINGER_BYTES
        pieces: list[bytes] = []
        size = 0
        # Not `move_on_after`: a context manager made of a generator costs twice as much.
        with RunningScope(trio.current_time() + seconds):
            while not self._body_ended:
                piece = await self._next()
                if self._malformed is not None:
                    raise InvalidRequest(self._malformed)
                size += len(piece)
                if size > limit:
                    raise too_large
                if size > room and grow is not None:
                    # Of no announced length. Asked for ahead, so that it waits a few times only.
                    room = min(2 * size, limit)
                    await grow(room)
                pieces.append(piece)
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        raise BodyTimeout(f"the body did not arrive within {seconds:g} s")

    @property
    def length(self) -> int | None:
        """Return how long the body was said to be; 0 if there is none, None if it was not said."""
        return 0 if self._body_ended and self._content_length is None else self._content_length

    async def receive_some(self) -> bytes:
        """Return the next bytes of the body, b"" at its end.

        Raises InvalidRequest (400) and ClientGone. The bytes are for the caller to count.
        """
        while not self._body_ended:
            piece = await self._next()
            if self._malformed is not None:
                raise InvalidRequest(self._malformed)
            if piece:
                return piece
        return b""

    async def wait_gone(self) -> None:
        """Return when the caller has left.

        Never returns once the last message is on its way: Hypercorn reports a disconnect while
        it finishes a request, and to cancel on that would cancel the recycling of the connection.
        Nor once a write has stalled: the disconnect is then ours, and the writer knows of it.
        Raises SendStalled when the caller did not leave but was dropped, while nothing was written.
        """
        await self._until_gone()
        if self._finishing or self._stalled:
            await trio.sleep_forever()
        if self._dropped is not None and self.status is not None:
            raise SendStalled(self._dropped)

    def when_gone(self, call: Callable[[ClientGone | SendStalled], None]) -> bool:
        """Call this, up to `stay`, in place of a task in `wait_gone`; say if that is possible."""
        if self._served is None or not self._body_ended:
            return False
        self._served.when_gone(partial(self._left, call))
        return True

    def stay(self) -> None:
        """Call nothing any more when the caller leaves."""
        if self._served is not None:
            self._served.when_gone(None)

    def _left(self, call: Callable[[ClientGone | SendStalled], None], message: Message) -> None:
        self._gone = True
        self._dropped = message.get("stalled")
        if self._finishing or self._stalled:
            return
        if self._dropped is not None and self.status is not None:
            call(SendStalled(self._dropped))
        else:
            call(ClientGone())

    async def begin(self, status: int, headers: HeaderPairs) -> None:
        own: list[tuple[bytes, bytes]] = [*headers, *self._always]
        carried, self._carried = self._carried, None
        if carried is not None:
            names = {name for name, _ in headers}
            own += [pair for pair in await carried() if pair[0] not in names]
        own += [(name, self._request_id) for name in self.dialect.id_headers]
        if not self._body_ended or self._lifecycle.moving:
            own.append((b"connection", b"close"))
        # Not before: cut while the limits were asked, the request gets another answer.
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": own})

    async def send(self, data: bytes) -> None:
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        except SendStalled:
            self._stalled = True
            raise

    async def keep_alive(self, data: bytes) -> None:
        await self.send(data)

    @property
    def open(self) -> bool:
        """Say whether a stream has begun that was not ended."""
        return self.status is not None and not self.sealed

    async def finish(self, data: bytes) -> None:
        self.sealed = True
        call, self._before_last = self._before_last, None
        if call is not None and len(data) <= SMALL:
            await call()
            call = None
        if self._body_ended:
            self._finishing = True
            await self._send({"type": "http.response.body", "body": data, "more_body": False})
        else:
            await self._finish_early(data)
        if call is not None:
            await call()

    async def refuse(self, error: GatewayError) -> None:
        headers, body = self.dialect.error_reply(error, self._request_id.decode("ascii"))
        await self.reply(error.status, headers, body)

    async def reply(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        """Send a whole answer."""
        length = (b"content-length", b"%d" % len(body))
        await self.begin(status, (*headers, length))
        await self.finish(body)

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._malformed = message.get("malformed")
            if self._malformed is not None:
                return b""
            self._gone = True
            raise ClientGone
        self._body_ended = not message.get("more_body", False)
        return bytes(message.get("body", b""))

    async def _finish_early(self, data: bytes) -> None:
        """Finish before the body has been read: let the caller read the answer, then close."""
        await self.send(data)
        with trio.move_on_after(self._linger_seconds), contextlib.suppress(ClientGone):
            size = 0
            while not self._body_ended and self._malformed is None and size < self._linger_bytes:
                size += len(await self._next())
        async with trio.open_nursery() as nursery:
            # Hypercorn's own disconnect needs room in its queue, also while the body still comes.
            nursery.start_soon(self._until_gone)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            nursery.cancel_scope.cancel("answer sent")

    async def _until_gone(self) -> None:
        while not self._gone:
            message = await self._receive()
            self._gone = message["type"] == "http.disconnect"
            self._dropped = message.get("stalled")
