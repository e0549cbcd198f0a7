"""The caller's side of a request, by way of another that stands for it."""

from __future__ import annotations

from ...errors import GatewayError
from ..protocols import Client, HeaderPairs


class PassThroughClient:
    """Passes everything on to `client`, until a method is replaced.

    Those that replace one write to `_client` themselves, and not by way of this class: a piece of a
    stream costs one call a client. What a client may have beside the protocol is not passed on.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._client!r}>"

    @property
    def status(self) -> int | None:
        return self._client.status

    @property
    def sealed(self) -> bool:
        return self._client.sealed

    async def read_body(self, limit: int, seconds: float) -> bytes:
        return await self._client.read_body(limit, seconds)

    async def wait_gone(self) -> None:
        await self._client.wait_gone()

    async def begin(self, status: int, headers: HeaderPairs) -> None:
        await self._client.begin(status, headers)

    async def send(self, data: bytes) -> None:
        await self._client.send(data)

    async def keep_alive(self, data: bytes) -> None:
        await self._client.keep_alive(data)

    async def finish(self, data: bytes) -> None:
        await self._client.finish(data)

    async def reply(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        await self._client.reply(status, headers, body)

    async def refuse(self, error: GatewayError) -> None:
        await self._client.refuse(error)
