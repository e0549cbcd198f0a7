"""Equal requests at the same time, answered by one call: a flight, and those who follow it.

    flights nursery (the application's)
      flight     an exchange of its own: the pipeline, answering to a FanOutClient
    exchange nursery (each caller's)
      follow     the FanOutClient's log -> the caller

A flight belongs to none of the callers that wait for it. A caller that leaves, the first one too,
only stops following; when the last has left, the flight's client is gone, and the pipeline ends as
for any caller that leaves. So a flight is an `Exchange` like others, in a nursery that outlives the
callers', and only its client is special (`fan_out.py`).

The first caller's record is the one that shows the call: its attempts, its usage, its cost.
Caller and flight end in either order, so that record waits until both have (`Settlement.branch`).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import trio

from ...core.cache.answers import HIT, MISS, AnswerRecording, fallback_named
from ...core.records.record import EndReason
from ...errors import GatewayError, InternalError, SendStalled, ShuttingDown
from ..exchange import Exchange
from ..protocols import HeaderPairs
from .fan_out import FanOutClient, Follower
from .timeout import report_timeout

Work = Callable[[Exchange], Awaitable[None]]

_OK: Final = 200
_TOO_SLOW: Final = "the client read too slowly for others with the same request"
_log = structlog.get_logger(__name__)


async def join(
    exchange: Exchange, key: bytes, fly: Work, *, ttl: float, deadline: float = math.inf
) -> None:
    """Answer from the flight that is under way for `key`, or from one that begins now.

    `fly` gets the flight's exchange and does what it would do for the caller's: it serves
    the request while the client listens. `deadline`, in Trio's seconds, is the caller's
    own; the flight has only those of the configuration. The first caller's `ttl`, in seconds,
    is how long the answer is stored. Raises GatewayError, SendStalled.
    """
    flight = exchange.services.cache.flights.get(key)
    leads = flight is None or not flight.open
    if flight is None or leads:
        flight = _start_call(exchange, key, fly, ttl)
    else:
        exchange.settlement.costs_nothing(cached=False)
    with trio.CancelScope(deadline=deadline) as scope:
        follower = Follower(scope)
        following = _Following(exchange, flight, follower, leads=leads)
        flight.subscribe(follower)
        exchange.cut_by(scope)
        try:
            await following.run()
        finally:
            flight.unsubscribe(follower)
    if follower.dropped:
        raise SendStalled(_TOO_SLOW)
    if scope.cancelled_caught:
        await report_timeout(exchange, sealed=following.sealed)


def _start_call(exchange: Exchange, key: bytes, fly: Work, ttl: float) -> FanOutClient:
    """Start the flight of `exchange`, its first caller. Raises ShuttingDown."""
    cache = exchange.services.cache
    if not cache.flights.running:
        raise ShuttingDown("the gateway is shutting down", retry_after=1)
    timeout = exchange.snapshot.server.send_timeout
    recording = AnswerRecording(cache.store, key, exchange.dialect.name, ttl)
    client = FanOutClient(recording, exchange.dialect, timeout)
    call = exchange.branch(client)

    async def run() -> None:
        try:
            await call.run(fly)
        except Exception:  # noqa: BLE001  # the other flights go on
            _log.exception("flight failed", request_id=call.record.request_id)
        finally:
            client.end(call.record)

    cache.flights.start(key, client, run)
    return client


class _Following:
    """One caller on a flight: what is written there is written to it."""

    def __init__(
        self, exchange: Exchange, flight: FanOutClient, follower: Follower, *, leads: bool
    ) -> None:
        self.sealed = False
        self._exchange = exchange
        self._client = exchange.client
        self._flight = flight
        self._follower = follower
        self._leads = leads

    async def run(self) -> None:
        """Relay the flight's answer, and end the exchange as the flight ended."""
        flight = self._flight
        while flight.status is None and flight.ended is None:
            await flight.news()
        if flight.status != _OK:
            await self._fail()
            return
        if not self._leads:
            self._exchange.settlement.costs_nothing(cached=True)
            self._exchange.settlement.fell_back(fallback_named(flight.headers))
        if flight.body is not None:
            self.sealed = True
            await self._client.reply(_OK, self._headers(), flight.body)
        else:
            await self._client.begin(_OK, self._headers())
            if not await self._relay():
                self._end_as_flight()
                return
        self._exchange.settlement.end(EndReason.COMPLETE if self._leads else EndReason.CACHED)

    async def _relay(self) -> bool:
        """Send the log as it grows; say whether it came to its proper end."""
        client, flight, follower = self._client, self._flight, self._follower
        while not follower.dropped:
            data = flight.take(follower)
            if flight.has_all(follower):
                self.sealed = True
                await client.finish(data)
                return True
            if data:
                await client.send(data)
            elif flight.ended is not None:
                return False
            elif flight.take_keep_alive(follower):
                await client.keep_alive(flight.dialect.keep_alive)
            else:
                await flight.news()
        # The cancellation of its scope may still be under way; its place in the log is gone.
        raise SendStalled(_TOO_SLOW)

    async def _fail(self) -> None:
        """Show what there is instead of an answer, once it is certain why."""
        flight = self._flight
        while flight.ended is None:
            await flight.news()
        self._end_as_flight()
        self._exchange.shown, self._exchange.routed = flight.ended, True
        if flight.ended is not None:
            self._exchange.settlement.fell_back(flight.ended.fallback_model)
        self.sealed = True
        if flight.body is not None:
            # A provider's refusal, as it came.
            assert flight.status is not None
            await self._client.reply(flight.status, self._headers(), flight.body)
        else:
            await self._client.refuse(flight.refusal or self._no_answer())

    def _headers(self) -> HeaderPairs:
        flight = self._flight
        headers = flight.headers
        if self._leads or flight.status != _OK:
            return (*headers, MISS)
        age = max(0, int(trio.current_time() - flight.began))
        return (*headers, HIT, (b"age", b"%d" % age))

    def _end_as_flight(self) -> None:
        record = self._flight.ended
        assert record is not None
        self._exchange.settlement.end(record.end_reason, record.error)

    def _no_answer(self) -> GatewayError:
        record = self._flight.ended
        if record is not None and record.end_reason is EndReason.SHUTTING_DOWN:
            return ShuttingDown("the gateway is shutting down", retry_after=1)
        return InternalError("the gateway made a mistake; its log has more")
