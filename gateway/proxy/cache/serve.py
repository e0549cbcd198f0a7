"""The response cache at work: look an answer up, or have it made and keep it.

    hit        the stored bytes are replayed; no provider is called
    miss       the pipeline answers through a `RecordingClient`, which keeps what came whole
    coalesced  equal misses share one call (`coalesce.py`)

What makes an answer whole is decided elsewhere and only once: the pipeline calls `finish` or
`reply` for a complete answer and for nothing else. A broken stream ends without either.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import msgspec
import trio

from ...core.cache.answers import (
    HIT,
    AnswerRecording,
    CachedAnswer,
    fallback_named,
    pieces,
)
from ...core.records.record import EndReason
from ..clients.recording import RecordingClient
from ..exchange import Exchange
from .coalesce import join
from .timeout import report_timeout


class CacheRequest(msgspec.Struct, frozen=True):
    """How one request is cached: its key, for how many seconds, whether it may share a call."""

    key: bytes
    ttl: float
    coalesce: bool = False


async def serve(
    exchange: Exchange,
    request: CacheRequest,
    work: Callable[[Exchange], Awaitable[None]],
    deadline: float = math.inf,
) -> None:
    """Answer from the cache, or else by `work`, which may get another exchange than this.

    `work` runs the pipeline while its exchange's client listens. The `deadline`, in Trio's
    seconds, is the caller's own, for answers that are not made for it alone.
    """
    cache = exchange.services.cache
    entry = await cache.find(request.key, request.ttl)
    if entry is not None:
        await exchange.cancel_on_disconnect(lambda: serve_from_cache(exchange, entry, deadline))
        return
    if request.coalesce:
        await exchange.cancel_on_disconnect(
            lambda: join(exchange, request.key, work, ttl=request.ttl, deadline=deadline)
        )
        return
    recording = AnswerRecording(cache.store, request.key, exchange.dialect.name, request.ttl)
    exchange.client = RecordingClient(exchange.client, recording)
    try:
        await work(exchange)
    finally:
        recording.drop()


async def serve_from_cache(
    exchange: Exchange, entry: CachedAnswer, deadline: float = math.inf
) -> None:
    """Replay `entry`, which costs nothing. Raises what writing to the client does."""
    client = exchange.client
    exchange.settlement.costs_nothing(cached=True)
    exchange.settlement.fell_back(fallback_named(entry.headers))
    age = (b"age", entry.age(trio.current_time()))
    sealed = False
    with trio.CancelScope(deadline=deadline) as scope:
        exchange.cut_by(scope)
        headers = (*entry.headers, *await exchange.about(), HIT, age)
        if entry.stream:
            await client.begin(entry.status, headers)
            rest = b""
            for piece in pieces(entry.body):
                if rest:
                    await client.send(rest)
                rest = piece
            sealed = True
            await client.finish(rest)
        else:
            sealed = True
            await client.reply(entry.status, headers, entry.body)
    if scope.cancelled_caught:
        await report_timeout(exchange, sealed=sealed)
        return
    exchange.settlement.end(EndReason.CACHED)
