"""All that runs in one process beside the requests, and how it takes a configuration."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

import trio

from .. import __version__
from ..config import schema, snapshot
from ..config.snapshot import Caller, Snapshot
from ..core.routing.call import Origin
from ..core.routing.deployment import Deployment
from ..core.routing.timeouts import Timeouts
from ..lifecycle import Lifecycle
from ..providers import demo, openai
from ..proxy.cache.response_cache import ResponseCache
from ..proxy.services import Services
from ..proxy.traffic.control import TrafficControl
from ..proxy.traffic.probing import Probed, Probing
from ..state.health import LocalHealth
from ..state.limits import MemoryLimits
from ..upstream.demos import DemoServers
from ..upstream.probe import probe
from ..upstream.transport import Transport
from .recording import Recording

_USER_AGENT: Final = f"gateway/{__version__}".encode()


class Components:
    """They outlive every reload. Their tasks run in `nursery`, from `start` on."""

    def __init__(
        self,
        config: schema.Config,
        lifecycle: Lifecycle,
        recording: Recording,
        nursery: trio.Nursery,
    ) -> None:
        self.transport = Transport()
        self.health = LocalHealth(config.breaker, config.retry)
        self.services = Services(
            upstream=self.transport,
            limits=MemoryLimits(),
            health=self.health,
            traffic=TrafficControl(lifecycle),
            cache=ResponseCache(config.cache),
            recorder=recording,
            lifecycle=lifecycle,
            rng=random.random,
            tracer=recording.tracer,
            captures=recording.captures,
        )
        self.recording = recording
        self._nursery = nursery
        self._demos = DemoServers(nursery)
        self._probing = Probing(partial(probe, self.transport), self.health, random.random)
        self._origins: frozenset[Origin] = frozenset()
        # A reload makes no model newer.
        self._created = int(time.time())

    def __repr__(self) -> str:
        return f"<Components {self.transport}, {self.health}>"

    async def start(self) -> None:
        """Start what runs for as long as the process does."""
        self._nursery.start_soon(self.transport.maintain)
        self._nursery.start_soon(self.services.traffic.lag.watch)
        self._nursery.start_soon(self._probing.run)
        await self._nursery.start(self.services.cache.flights.run)

    async def prepare(self, config: schema.Config) -> None:
        """Start what `config` needs and is not there yet."""
        await self._demos.start(config.providers)

    def adopt(self, config: schema.Config, callers: Mapping[bytes, Caller]) -> Snapshot:
        """Go on with a `config` that has been prepared; return what requests are to run on.

        Awaits nothing: no request sees half of it.
        """
        taken = snapshot.build_snapshot(config, self._describe, self._created, self.health, callers)
        self.services.configure(config, taken)
        self.recording.configure(config)
        probed = self._probed(config)
        self._probing.configure(probed)
        origins = frozenset(
            each.origin for model in taken.models.everything() for each in model.deployments
        ).union(each.call.origin for each in probed)
        self.transport.retire(self._origins - origins)
        self._origins = origins
        self._demos.stop_old(config.providers)
        return taken

    def _describe(
        self,
        name: str,
        provider: schema.Provider,
        route: schema.Route,
        timeouts: Timeouts,
        pattern: str | None,
    ) -> Deployment:
        located = self._located(name, provider)
        return openai.describe(name, located, route, timeouts, _USER_AGENT, pattern)

    def _probed(self, config: schema.Config) -> list[Probed]:
        return [
            Probed(
                name,
                openai.probe_call(name, self._located(name, provider), _USER_AGENT),
                provider.probe,
            )
            for name, provider in config.providers.items()
            if provider.probe is not None
        ]

    def _located(self, name: str, provider: schema.Provider) -> schema.Provider:
        """Return the provider with the address at which it really is."""
        if provider.kind == "demo":
            return demo.located(provider, self._demos.port(name, provider))
        return provider
