"""The caller's side of a request whose answer is collected for the cache."""

from __future__ import annotations

from typing import Final

import trio

from ...core.cache.answers import MISS, AnswerRecording, about_body
from ...errors import GatewayError
from ..protocols import Client, HeaderPairs
from .pass_through import PassThroughClient

_OK: Final = 200


class RecordingClient(PassThroughClient):
    """Passes an answer on, marked as a miss, and collects it for the cache if it is a success."""

    def __init__(self, client: Client, recording: AnswerRecording) -> None:
        super().__init__(client)
        self._recording = recording
        self._headers: HeaderPairs = ()

    def __repr__(self) -> str:
        return f"<RecordingClient {self._recording!r}>"

    async def begin(self, status: int, headers: HeaderPairs) -> None:
        self._start(status, headers)
        await self._client.begin(status, (*headers, MISS))

    async def send(self, data: bytes) -> None:
        self._recording.add(data)
        await self._client.send(data)

    async def finish(self, data: bytes) -> None:
        self._keep(data, stream=True)
        await self._client.finish(data)

    async def reply(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        self._start(status, headers)
        self._keep(body, stream=False)
        await self._client.reply(status, (*headers, MISS), body)

    async def refuse(self, error: GatewayError) -> None:
        self._recording.drop()
        await self._client.refuse(error)

    def _start(self, status: int, headers: HeaderPairs) -> None:
        if status == _OK:
            self._headers = headers
        else:
            self._recording.drop()

    def _keep(self, last: bytes, *, stream: bool) -> None:
        # Before the write: the answer is whole, whether or not its caller takes all of it.
        self._recording.add(last)
        now = trio.current_time()
        self._recording.keep(_OK, about_body(self._headers), now, stream=stream)
