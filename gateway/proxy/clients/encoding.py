"""The caller's side of a request, whose answers are encoded as its path has them."""

from __future__ import annotations

from typing import Final

from ...core.dialects.by_body.body_dialect import AnswerEncoding
from ...core.records.record import Record
from ..protocols import Client, HeaderPairs
from .pass_through import PassThroughClient

# What is encoded: whole answers that are written in pieces, from the cache, are as they are.
_EVENTS: Final = b"text/event-stream"


class EncodingClient(PassThroughClient):
    """Passes everything on as the path has it. Errors of ours are the path's already."""

    __slots__ = ("_encoding", "_events", "_record")

    def __init__(self, client: Client, encoding: AnswerEncoding, record: Record) -> None:
        super().__init__(client)
        self._encoding = encoding
        # And not the exchange: that would be a cycle, which keeps the request's body.
        self._record = record
        self._events = False

    def __repr__(self) -> str:
        return f"<EncodingClient {self._encoding!r}>"

    async def begin(self, status: int, headers: HeaderPairs) -> None:
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        self._events = kind.startswith(_EVENTS)
        await self._client.begin(status, self._encoding.head(headers) if self._events else headers)

    async def send(self, data: bytes) -> None:
        # An event that is not whole yet is held, and nothing is to be written.
        if written := self._written(data):
            await self._client.send(written)

    async def keep_alive(self, data: bytes) -> None:
        await self._client.keep_alive(self._encoding.keep_alive)

    async def finish(self, data: bytes) -> None:
        await self._client.finish(self._written(data))

    async def reply(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        tokens = self._record.input_tokens
        await self._client.reply(status, *self._encoding.answer(status, headers, body, tokens))

    def _written(self, data: bytes) -> bytes:
        return self._encoding.stream(data) if self._events and data else data
