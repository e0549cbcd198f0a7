"""A whole proxy around one request: everything real but the two ends."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import trio

from gateway.config.schema import Server
from gateway.config.snapshot import Caller, ServedModel, Snapshot
from gateway.core.call import Origin
from gateway.core.pricing import Prices
from gateway.core.record import Record
from gateway.core.routing.attempts import RetryPolicy
from gateway.core.routing.backoff import Rng
from gateway.core.routing.deployment import Deployment
from gateway.core.routing.health import HealthTracker
from gateway.core.timeouts import Timeouts
from gateway.lifecycle import Lifecycle
from gateway.proxy.chat import serve_chat
from gateway.proxy.exchange import Exchange, Services

from .scripts import Play, ScriptedClient, ScriptedUpstream, Step

KEY = b"sk-test"
TIMEOUTS = Timeouts()


class Records:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.all: list[Record] = []

    def record(self, record: Record) -> None:
        self.all.append(msgspec.structs.replace(record))


def deployment(provider: str, timeouts: Timeouts = TIMEOUTS) -> Deployment:
    return Deployment(
        provider=provider,
        model="real",
        model_json=b'"real"',
        origin=Origin(scheme="http", host=provider, port=80),
        target=b"/v1/chat/completions",
        stream_headers=((b"accept", b"text/event-stream"),),
        plain_headers=((b"accept", b"application/json"),),
        timeouts=timeouts,
        prices=Prices(input=2.0, cached_input=0.5, output=8.0),
    )


def snapshot_of(
    *deployments: Deployment,
    server: Server | None = None,
    retry: RetryPolicy | None = None,
    keys: dict[bytes, tuple[str, ...]] | None = None,
) -> Snapshot:
    """Return a configuration that serves `deployments` as "m"; `keys` maps keys to models."""
    callers = [
        Caller(name="tester", digest=hashlib.sha256(key).digest(), models=frozenset(models))
        for key, models in (keys or {}).items()
    ]
    return Snapshot(
        models={"m": ServedModel(name="m", json_name=b'"m"', deployments=deployments)},
        callers={caller.digest: caller for caller in callers},
        server=server or Server(),
        retry=retry or RetryPolicy(),
        created=1_700_000_000,
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
    ) -> None:
        script = [play if isinstance(play, Play) else Play(*play) for play in plays]
        if routes is None:
            routes = list(dict.fromkeys(play.provider for play in script))
        self.deployments = [
            route if isinstance(route, Deployment) else deployment(route, timeouts)
            for route in routes
        ]
        self.upstream = ScriptedUpstream(script)
        self.client = client or ScriptedClient(body(stream=stream))
        self.health = HealthTracker()
        self.lifecycle = Lifecycle()
        self.records = Records()
        self.snapshot = snapshot_of(
            *self.deployments, server=server, retry=retry, keys={KEY: ("*",)}
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
    ) -> Record:
        """Serve the request and hold whatever must hold of any; return its record."""
        try:
            await self.exchange(key, work)
        finally:
            self.check(all_played=all_played)
        return self.record

    async def exchange(
        self, key: bytes | None = KEY, work: Callable[[Exchange], Awaitable[None]] | None = None
    ) -> None:
        services = Services(self.upstream, self.health, self.records, self.lifecycle, self._rng)
        exchange = Exchange(services, self.snapshot, self.client, b"req_1", "192.0.2.1")
        await exchange.run(work or (lambda exchange: serve_chat(exchange, key)))

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
        assert record.status == (client.status or 499)
        assert len(record.attempts) <= len(self.upstream.calls)
        assert client.text.count(b"[DONE]") == (record.stream and record.end_reason == "complete")
