"""An ASGI server's side of one request, scripted: what `receive` says and when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import trio

from gateway.api.requests.served_request import Message
from gateway.errors import SendStalled

DISCONNECT: Message = {"type": "http.disconnect"}


def piece(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


class Server:
    """Plays `events`, each some seconds after the one before, then waits like Hypercorn does.

    stalls       the number of the message at which the caller has stopped reading, for good
    closes_late  say `http.disconnect` while the last message is being sent, as Hypercorn does
    takes        seconds that every send takes
    """

    def __init__(
        self,
        *events: tuple[float, Message],
        stalls: int | None = None,
        closes_late: bool = False,
        takes: float = 0.0,
    ) -> None:
        self.sent: list[tuple[float, Message]] = []
        self.received = 0
        self._events: Sequence[tuple[float, Message]] = events
        self._due = 0.0
        self._stalls = math.inf if stalls is None else stalls
        self._closes_late = closes_late
        self._takes = takes
        self._closed = trio.Event()

    async def receive(self) -> Message:
        if self.received < len(self._events):
            delay, message = self._events[self.received]
            if self._due == 0.0:
                self._due = trio.current_time()
            await trio.sleep_until(self._due + delay)
            self._due += delay
            self.received += 1
            return message
        await self._closed.wait()
        return DISCONNECT

    async def send(self, message: Message) -> None:
        await trio.sleep(self._takes)
        if len(self.sent) >= self._stalls:
            raise SendStalled("the client took nothing")
        assert not self.complete, "sent after the end"
        assert bool(self.sent) == (message["type"] != "http.response.start"), message
        self.sent.append((trio.current_time(), message))
        if message.get("more_body") is False and self._closes_late:
            self._closed.set()
            await trio.sleep(1)

    def disconnect(self) -> None:
        self._closed.set()

    @property
    def complete(self) -> bool:
        return bool(self.sent) and self.sent[-1][1].get("more_body") is False

    @property
    def status(self) -> int:
        found: int = self.sent[0][1]["status"]
        return found

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0][1]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for _, message in self.sent)

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)
