"""The caller's side of a request whose response the gateway keeps.

It is kept before its last bytes are sent, so that the next request finds it.
"""

from __future__ import annotations

from typing import Final

import msgspec
import structlog
import trio

from ...core.dialects.base import DialectRequest
from ...core.dialects.keeping import (
    ResponseKeeper,
    kept_of,
    last_event,
    response_in,
)
from ...errors import StoreUnavailable
from ..exchange import Exchange
from ..protocols import HeaderPairs
from .pass_through import PassThroughClient

# Seconds for the database. An answer waits for it with its last bytes.
PATIENCE: Final = 5.0
_OK: Final = 200

_log = structlog.get_logger(__name__)


class KeepingClient(PassThroughClient):
    """Passes an answer on, and keeps it if the gateway has made it and it is whole."""

    def __init__(self, exchange: Exchange, keeper: ResponseKeeper, request: DialectRequest) -> None:
        super().__init__(exchange.client)
        self._keeper = keeper
        self._owner = exchange.caller.digest
        self._made_for = {"request_id": exchange.request_id, "token": exchange.caller.name}
        self._request = request
        # The end of a stream from its last event on.
        self._end = b""

    async def send(self, data: bytes) -> None:
        self._look_for_end(data)
        await self._client.send(data)

    async def finish(self, data: bytes) -> None:
        self._look_for_end(data)
        if self._end:
            await self._keep(response_in(self._end))
        await self._client.finish(data)

    async def reply(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        if status == _OK:
            await self._keep(body)
        await self._client.reply(status, headers, body)

    def _look_for_end(self, data: bytes) -> None:
        self._end = self._end + data if self._end else last_event(data)

    async def _keep(self, response: bytes) -> None:
        kept = kept_of(self._request, response)
        if kept is None:
            # A provider's own, which keeps it itself.
            return
        kept = msgspec.structs.replace(kept, **self._made_for)
        if kept.size > self._keeper.policy.max_bytes:
            _log.warning("a response is too large to be kept", id=kept.id, bytes=kept.size)
            return
        try:
            with trio.move_on_after(PATIENCE) as scope:
                await self._keeper.keep(self._owner, kept)
            if scope.cancelled_caught:
                _log.warning("a response was not kept: the database took too long", id=kept.id)
        except StoreUnavailable as exc:
            # The caller gets its answer; what goes on from it will be told that it is not there.
            _log.warning("a response was not kept", id=kept.id, error=exc.message)
