"""A request's client, as a Starlette application sees it."""

from __future__ import annotations

from typing import Final

from starlette.types import Message

from ..proxy.protocols import Client

# Records are nobody else's business, and a browser is not to guess what they are.
_ALWAYS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class AsgiBridge:
    """ASGI's two ends over a `Client`, whose body has been read."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def receive(self) -> Message:
        """Return when the caller has left; not because the answer is complete."""
        await self._client.wait_gone()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._client.begin(message["status"], (*message["headers"], *_ALWAYS))
        elif message.get("more_body", False):
            await self._client.send(message["body"])
        else:
            await self._client.finish(message.get("body", b""))
