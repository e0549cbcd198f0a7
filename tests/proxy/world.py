"""A whole proxy around one request: everything real but the two ends."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import trio

from gateway.config.callers import Caller
from gateway.config.catalog import Catalog, Names
from gateway.config.listener.server import Server
from gateway.config.schema import Model
from gateway.config.snapshot import ServedModel, Snapshot
from gateway.core.cache.answers import CachePolicy
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.limits.ledger import Scope
from gateway.core.records.pricing import Prices
from gateway.core.records.record import Record
from gateway.core.records.traceparent import Trace
from gateway.core.routing.attempts import RetryPolicy
from gateway.core.routing.backoff import Rng
from gateway.core.routing.balancing.homes import AnswerHomes
from gateway.core.routing.balancing.strategies import StrategyName
from gateway.core.routing.call import Origin
from gateway.core.routing.deployment import Credential, Deployment
from gateway.core.routing.health import AttemptStats
from gateway.core.routing.timeouts import Timeouts
from gateway.lifecycle import Lifecycle
from gateway.providers.failures import OPENAI_COMPATIBLE
from gateway.proxy.cache.response_cache import ResponseCache
from gateway.proxy.capture import CaptureLog
from gateway.proxy.exchange import NO_HEADERS, Exchange
from gateway.proxy.in_flight import InFlight
from gateway.proxy.operations.chat import ASKED_NOTHING, serve_chat
from gateway.proxy.options import ClientOptions
from gateway.proxy.services import Services
from gateway.proxy.traffic.control import TrafficControl
from gateway.state.health import LocalHealth
from gateway.state.limits import MemoryLimits

from .scripts import Play, ScriptedClient, ScriptedUpstream, Step

KEY = b"sk-test"
TIMEOUTS = Timeouts()
PRICES = Prices(input=2.0, cached_input=0.5, output=8.0)


class State:
    """What the requests to one gateway share: what it has learned, and the limits."""

    def __init__(self, retry: RetryPolicy | None = None) -> None:
        self.health = LocalHealth(retry=retry)
        self.limits: MemoryLimits = MemoryLimits()


class Records:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.all: list[Record] = []

    def record(self, record: Record, trace: Trace | None) -> None:
        self.all.append(msgspec.structs.replace(record))


def deployment(
    provider: str,
    timeouts: Timeouts = TIMEOUTS,
    *,
    keys: Sequence[bytes] = (b"key-1",),
    beside: Sequence[Dialect] = (),
    prices: Prices = PRICES,
) -> Deployment:
    return Deployment(
        provider=provider,
        model="real",
        model_json=b'"real"',
        origin=Origin(scheme="http", host=provider, port=80),
        dialect=OPENAI_CHAT,
        target=b"/v1/chat/completions",
        stream_target=b"/v1/chat/completions",
        refusals=OPENAI_COMPATIBLE,
        credentials=tuple(
            Credential(
                stream_headers=((b"accept", b"text/event-stream"), (b"authorization", key)),
                plain_headers=((b"accept", b"application/json"), (b"authorization", key)),
                id=key.decode(),
                label=key.decode(),
            )
            for key in keys
        ),
        timeouts=timeouts,
        prices=prices,
        targets={each.name: each.target(b"/v1", "real", stream=False) for each in beside},
    )


def served(
    *deployments: Deployment,
    state: State,
    strategy: StrategyName = "priority",
    fallbacks: Sequence[Deployment] = (),
    retry: RetryPolicy | None = None,
    name: str = "m",
    fallbacks_named: Sequence[str] = (),
    **more: Any,
) -> ServedModel:
    """Return the model `name` over `deployments`, bound to `state`."""
    groups = [list(deployments), *([list(fallbacks)] if fallbacks else [])]
    targets = [[state.health.target(each) for each in group] for group in groups]
    return ServedModel(
        name=name,
        json_name=msgspec.json.encode(name),
        deployments=tuple(each for group in groups for each in group),
        targets=tuple(each for group in targets for each in group),
        groups=tuple(len(group) for group in groups),
        balancers=tuple(
            state.health.balancer(strategy, *pair) for pair in zip(groups, targets, strict=True)
        ),
        retry=retry or RetryPolicy(),
        fingerprint=b"test",
        fallbacks=tuple(fallbacks_named),
        answer_names=tuple(msgspec.json.encode(each) for each in fallbacks_named),
        **more,
    )


def snapshot_of(
    *deployments: Deployment,
    state: State | None = None,
    server: Server | None = None,
    keys: dict[bytes, tuple[str, ...]] | None = None,
    callers: Sequence[Caller] = (),
    provider_scopes: Mapping[str, Scope] | None = None,
    **model: Any,
) -> Snapshot:
    """Return a configuration that serves `deployments` as "m"; `keys` maps keys to models."""
    callers = [
        *callers,
        *(
            Caller(
                name="tester",
                digest=hashlib.sha256(key).digest(),
                models=frozenset(models),
                beginnings=tuple(each[:-1] for each in models if each.endswith("*")),
            )
            for key, models in (keys or {}).items()
        ),
    ]
    found = served(*deployments, state=state or State(), **model)
    return Snapshot(
        models=Catalog(Names([Model(name="m")]), lambda _: found),
        callers={caller.digest: caller for caller in callers},
        server=server or Server(),
        created=1_700_000_000,
        provider_scopes=provider_scopes or {},
    )


def body(*, stream: bool = True, **more: Any) -> bytes:
    messages = [{"role": "user", "content": "hello"}]
    return msgspec.json.encode({"model": "m", "messages": messages, "stream": stream, **more})


class World:
    """One request over `routes`, each answered by what `plays` has next for it.

    `plays` are (provider, steps) in the order of the calls; routes are their providers unless
    given, alone or with timeouts of their own.
    """

    def __init__(
        self,
        plays: Sequence[tuple[str, Sequence[Step]] | Play],
        *,
        client: ScriptedClient | None = None,
        routes: Sequence[str | Deployment] | None = None,
        stream: bool = True,
        timeouts: Timeouts = TIMEOUTS,
        server: Server | None = None,
        retry: RetryPolicy | None = None,
        rng: Rng = lambda: 0.5,
        state: State | None = None,
        callers: Sequence[Caller] = (),
        provider_scopes: Mapping[str, Scope] | None = None,
        dialect: Dialect = OPENAI_CHAT,
        **model: Any,
    ) -> None:
        self.dialect = dialect
        script = [play if isinstance(play, Play) else Play(*play) for play in plays]
        if routes is None:
            routes = list(dict.fromkeys(play.provider for play in script))
        self.deployments = [
            route
            if isinstance(route, Deployment)
            else deployment(route, timeouts, beside=() if dialect is OPENAI_CHAT else (dialect,))
            for route in routes
        ]
        self.upstream = ScriptedUpstream(script)
        self.client = client or ScriptedClient(body(stream=stream))
        self.state = state or State()
        self.lifecycle = Lifecycle()
        self.records = Records()
        self.traffic = TrafficControl(self.lifecycle)
        self.cache = ResponseCache(CachePolicy())
        self.captures: CaptureLog | None = None
        self.in_flight = InFlight()
        self.homes = AnswerHomes()
        self.snapshot = snapshot_of(
            *self.deployments,
            state=self.state,
            server=server,
            keys={} if callers else {KEY: ("*",)},
            callers=callers,
            provider_scopes=provider_scopes,
            retry=retry,
            **model,
        )
        self._rng = rng

    @property
    def record(self) -> Record:
        assert len(self.records.all) == 1, f"settled {len(self.records.all)} times"
        return self.records.all[0]

    @property
    def causes(self) -> list[str]:
        """Return how the attempts ended."""
        return [row.cause or "ok" for row in self.record.attempts]

    async def run(
        self,
        *,
        all_played: bool = True,
        key: bytes | None = KEY,
        work: Callable[[Exchange], Awaitable[None]] | None = None,
        asked: ClientOptions = ASKED_NOTHING,
        headers: Mapping[bytes, bytes] = NO_HEADERS,
    ) -> Record:
        """Serve the request and hold whatever must hold of any; return its record."""
        try:
            await self.exchange(key, work, asked, headers)
        finally:
            self.check(all_played=all_played)
        return self.record

    @property
    def health(self) -> dict[str, AttemptStats]:
        return {target.name: target.health for target in self.state.health.targets}

    @property
    def services(self) -> Services:
        return Services(
            upstream=self.upstream,
            limits=self.state.limits,
            health=self.state.health,
            traffic=self.traffic,
            cache=self.cache,
            recorder=self.records,
            captures=self.captures,
            lifecycle=self.lifecycle,
            rng=self._rng,
            in_flight=self.in_flight,
            homes=self.homes,
        )

    async def exchange(
        self,
        key: bytes | None = KEY,
        work: Callable[[Exchange], Awaitable[None]] | None = None,
        asked: ClientOptions = ASKED_NOTHING,
        headers: Mapping[bytes, bytes] = NO_HEADERS,
    ) -> None:
        exchange = Exchange(
            self.services, self.snapshot, self.client, b"req_1", self.dialect, "192.0.2.1", headers
        )
        self.client.carry(exchange.about)
        await exchange.run(work or (lambda exchange: serve_chat(exchange, key, asked)))

    async def run_and_end_at(self, seconds: float) -> Record:
        """Serve the request, and end the process's requests `seconds` from now."""
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await trio.sleep(seconds)
                self.lifecycle.end_requests()

            nursery.start_soon(end)
            return await self.run()

    def check(self, *, all_played: bool = True) -> None:
        record, client = self.record, self.client
        self.upstream.check(all_played=all_played)
        client.check()
        assert self.lifecycle.in_flight == 0
        assert len(self.in_flight) == 0
        assert [slots for slots in self.traffic if slots.held or slots.waiting] == []
        assert self.state.limits.ledger.held() == 0
        for target in self.state.health.targets:
            assert target.in_flight == 0, target
            assert target.retries.retries_in_flight == 0, target
        assert record.status == (client.status or 499)
        assert len(record.attempts) <= len(self.upstream.calls)
        done = record.stream and record.end_reason == "complete" and self.dialect.stream_marks
        assert client.text.count(b"[DONE]") == bool(done)
