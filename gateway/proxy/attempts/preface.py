"""What a caller may see of a stream before it is committed: signs that its provider is at work.

A long prompt can take a model half a minute to read, and a caller who asked for progress
(llama.cpp's `return_progress`) wants to see it then, not afterwards. Two things let the output of
an attempt out before its first meaningful event:

    a progress event   from then on, all that the attempt sends
    a long wait        the caller has waited for `keep_alive_comment`: anything that the provider
                       sends goes through, its comments for one

Either sends the head, so the status is 200 from then on. The attempt is *not* committed: if it
fails another takes over in the same stream, and if all fail the caller gets an error event
instead of an error's status. A model that is hedged has no preface: two attempts would speak at
the same time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import trio

from ...core.routing.deployment import Deployment
from ..exchange import Exchange
from ..protocols import UpstreamResponse
from .answer_headers import provider_headers
from .own_keys import KeyMask


class Preface:
    """Writes what comes before the commit. `writing` says that a write has not ended yet.

    `fallback` is the name of the model that the attempt asks, if it is a fallback, and `mask` takes
    the keys of its call out of what is shown.
    If it is cancelled then, half of an event may have gone out, and nothing can follow it.
    """

    __slots__ = ("_exchange", "_late", "fallback", "mask", "writing")

    def __init__(self, exchange: Exchange) -> None:
        self.writing = False
        self.fallback: str | None = None
        self.mask: KeyMask | None = None
        self._exchange = exchange
        after = exchange.snapshot.server.keep_alive_comment
        self._late = exchange.started + after if after else math.inf

    def __repr__(self) -> str:
        return f"<Preface {'writing' if self.writing else 'of'} {self._exchange!r}>"

    def due(self, *, progressed: bool) -> bool:
        """Say whether what an attempt has sent so far is to go out now."""
        return progressed or trio.current_time() >= self._late

    async def show(self, deployment: Deployment, response: UpstreamResponse, data: bytes) -> bytes:
        """Send `data`, with the head if none has gone out yet; return what is to be held back.

        Where a stream opens only once, a sign of life goes out instead of `data`: another attempt
        may have to open it. Raises SendStalled.
        """
        exchange = self._exchange
        held = data if exchange.dialect.opens_once else b""
        self.writing = True
        if exchange.client.status is None:
            exchange.settlement.shows(deployment)
            exchange.settlement.fell_back(self.fallback)
            await begin_stream(exchange, deployment, response)
        shown = data if self.mask is None else self.mask.answer(data)
        await exchange.client.send(exchange.dialect.keep_alive if held else shown)
        self.writing = False
        return held


async def begin_stream(
    exchange: Exchange, deployment: Deployment, response: UpstreamResponse
) -> None:
    """Send the head of a stream that `deployment` answers with."""
    headers: Sequence[tuple[bytes, bytes]] = (
        *exchange.dialect.stream_headers,
        *provider_headers(deployment, response.headers, limited=exchange.caller.limited),
        *exchange.provenance(),
    )
    await exchange.client.begin(200, headers)
