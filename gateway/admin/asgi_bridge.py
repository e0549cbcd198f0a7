"""A request's client, as a Starlette application sees it."""

from __future__ import annotations

from typing import Final

import trio
from starlette.types import Message

from ..proxy.protocols import Client

# An answer holds records: no cache may keep it, and no browser may guess what type it is.
_ALWAYS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class AsgiBridge:
    """ASGI's `receive` and `send` over a `Client`. `body` is the request's, read already.

    `receive` hands it over once, in one message, and after that reports only a disconnect.
    """

    def __init__(self, client: Client, body: bytes = b"") -> None:
        self._client = client
        self._body: bytes | None = body
        self._gone = trio.Event()

    async def receive(self) -> Message:
        """Return the body at the first call; then return when the caller has left.

        The end of the answer is no disconnect: after it, `receive` waits until it is cancelled.
        """
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message of an answer. Raises SendStalled."""
        if message["type"] == "http.response.start":
            await self._client.begin(message["status"], (*message["headers"], *_ALWAYS))
        elif message.get("more_body", False):
            await self._client.send(message["body"])
        else:
            await self._client.finish(message.get("body", b""))

    async def wait_gone(self) -> None:
        """Return when the caller has left, and let `receive` report it. To be called once.

        Under Hypercorn's own server a disconnect is one message on a queue. Two tasks that both
        wait for it there would leave one of them waiting for ever, so `receive` waits for this.
        """
        await self._client.wait_gone()
        self._gone.set()
