"""Several requests to one gateway with a response cache: everything real but the two ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import trio

from gateway.config.listener.server import Server
from gateway.core.cache.answers import CachePolicy
from gateway.core.cache.key import cache_key
from gateway.core.dialects.openai_chat.request import parse_chat
from gateway.core.records.record import Record
from gateway.core.routing.timeouts import Timeouts
from gateway.proxy.attempts.pipeline import Pipeline
from gateway.proxy.cache.response_cache import ResponseCache
from gateway.proxy.cache.serve import CacheRequest, serve
from gateway.proxy.exchange import Exchange

from .scripts import Play, ScriptedClient, Step
from .world import TIMEOUTS, World, body

TTL = 60.0


class Visit(msgspec.Struct):
    """One request: when it comes, whose it is, and what it says of caching. Times in seconds.

    `ttl` 0 is a request that is not cached. `patience` is its own limit from its arrival.
    """

    at: float = 0.0
    client: ScriptedClient = msgspec.field(default_factory=lambda: ScriptedClient(body()))
    token: str = "one"
    ttl: float = TTL
    patience: float = math.inf


class Crowd:
    """Visits to one model over what `plays` has for each call; `coalesce` is the model's.

    Every visit has its own `World`, but they share the ends: they are one gateway.
    """

    def __init__(
        self,
        plays: Sequence[tuple[str, Sequence[Step]] | Play],
        visits: Sequence[Visit],
        *,
        coalesce: bool = False,
        policy: CachePolicy | None = None,
        timeouts: Timeouts = TIMEOUTS,
        server: Server | None = None,
    ) -> None:
        self.visits = visits
        self.cache = ResponseCache(policy or CachePolicy())
        self.done_at = [math.nan] * len(visits)
        self._coalesce = coalesce
        self._worlds = [
            World(plays, client=visit.client, timeouts=timeouts, server=server) for visit in visits
        ]
        first = self._worlds[0]
        self.upstream, self.lifecycle = first.upstream, first.lifecycle
        self.in_flight = first.in_flight
        self._records = first.records
        for world in self._worlds:
            world.upstream, world.records = first.upstream, first.records
            world.lifecycle, world.cache = first.lifecycle, self.cache
            world.in_flight = first.in_flight

    @property
    def clients(self) -> list[ScriptedClient]:
        return [visit.client for visit in self.visits]

    @property
    def texts(self) -> list[bytes]:
        return [client.text for client in self.clients]

    @property
    def marks(self) -> list[bytes | None]:
        """Return what each answer said of the cache."""
        return [client.headers.get(b"x-gateway-cache") for client in self.clients]

    @property
    def records(self) -> list[Record]:
        """Return each visit's one record, in the order of the visits."""
        found = {record.request_id: record for record in self._records.all}
        assert len(found) == len(self._records.all) == len(self.visits)
        return [found[f"req_{number}"] for number in range(len(self.visits))]

    @property
    def reasons(self) -> list[str]:
        """Return how the visits ended, in their order."""
        return [record.end_reason.value for record in self.records]

    async def run(self, *, all_played: bool = True) -> None:
        """Serve all visits and hold what must hold of any."""
        async with trio.open_nursery() as flights:
            await flights.start(self.cache.flights.run)
            async with trio.open_nursery() as nursery:
                for number in range(len(self.visits)):
                    nursery.start_soon(self._visit, number)
            # A flight may still wait for its provider's last bytes.
            with trio.fail_after(1):
                while len(self.cache.flights):  # noqa: ASYNC110  # no event tells
                    await trio.sleep(0.01)
            flights.cancel_scope.cancel("all visits are over")
        self.check(all_played=all_played)

    async def run_and_end_at(self, seconds: float) -> None:
        """Serve the visits, and end the process's requests `seconds` from now."""
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await trio.sleep(seconds)
                self.lifecycle.end_requests()

            nursery.start_soon(end)
            await self.run()

    def check(self, *, all_played: bool = True) -> None:
        self.upstream.check(all_played=all_played)
        assert self.lifecycle.in_flight == 0
        assert len(self.in_flight) == 0
        assert len(self.cache.flights) == 0
        # Nothing is recorded any more: what the store holds is entries.
        assert self.cache.store.held == 0
        for client, record in zip(self.clients, self.records, strict=True):
            client.check()
            assert record.status == (client.status or 499)
            whole = record.end_reason.value in ("complete", "cached")
            assert client.text.count(b"[DONE]") == (record.stream and whole)

    async def _visit(self, number: int) -> None:
        visit = self.visits[number]
        await trio.sleep_until(visit.at)

        async def work(exchange: Exchange) -> None:
            exchange.request_id = b"req_%d" % number
            exchange.record.request_id = f"req_{number}"
            await self._serve(exchange, visit)

        await self._worlds[number].exchange(work=work)
        self.done_at[number] = trio.current_time()

    async def _serve(self, exchange: Exchange, visit: Visit) -> None:
        request = parse_chat(await exchange.read_body())
        exchange.record.model, exchange.record.stream = request.model, request.stream
        model = exchange.snapshot.models.get(request.model)
        assert model is not None

        async def work(exchange: Exchange) -> None:
            await exchange.cancel_on_disconnect(Pipeline(exchange, request, model).run)

        key = cache_key(
            exchange.dialect.name,
            visit.token,
            visit.token.encode(),
            request.model,
            b"",
            request.body,
        )
        if not visit.ttl:
            await work(exchange)
            return
        assert key is not None
        caching = CacheRequest(key, visit.ttl, self._coalesce)
        await serve(exchange, caching, work, exchange.started + visit.patience)
