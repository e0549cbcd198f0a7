"""One process's gateway, put together.

This module and `cli/` are the only ones that know every part by name.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
import trio

from . import __version__
from .config import load, schema, snapshot
from .config.paths import config_path
from .core.routing.deployment import Deployment
from .core.routing.health import HealthTracker
from .core.timeouts import Timeouts
from .lifecycle import Lifecycle
from .providers import demo, openai
from .proxy.exchange import Services
from .serve.install import install
from .serve.policy import ServingPolicy
from .server.gateway import Gateway, Running
from .telemetry import logs
from .telemetry.records import LineRecorder, NullRecorder
from .upstream.demo import serve_demo
from .upstream.transport import Transport

_STDOUT = 1
_USER_AGENT = f"gateway/{__version__}".encode()

_log = structlog.get_logger(__name__)


class Application:
    """One process's gateway: its configuration, its lifecycle, its ASGI app.

    Hypercorn imports the app before anything is known; the configuration is read when the
    server starts it, or earlier by `use`.
    """

    def __init__(self) -> None:
        self.lifecycle = Lifecycle()
        self.asgi = Gateway(self.lifecycle, self._start)
        self._config: schema.Config | None = None
        self._watch: Callable[[], Awaitable[None]] | None = None

    def use(self, config: schema.Config) -> None:
        """Run on `config` instead of reading a file."""
        self._config = config

    @property
    def config(self) -> schema.Config:
        """Return the configuration, read at the first call. Raises ConfigError."""
        if self._config is None:
            self._config = load.load(config_path())
        return self._config

    def serving_policy(self) -> ServingPolicy:
        """Return what the server needs to know of the configuration."""
        server = self.config.server
        return ServingPolicy(
            send_timeout=server.send_timeout,
            keep_alive_timeout=server.keep_alive_timeout,
            header_timeout=server.header_timeout,
            drain_delay=server.drain_delay,
            drain_timeout=server.drain_timeout,
        )

    def install(self) -> Gateway:
        """Prepare this process for Hypercorn's command line, and return the ASGI app.

        `gateway serve` does the same by itself. The command line knows nothing of our logs,
        drain or sockets, so the app brings along what it can.
        """
        roster = install(self.serving_policy, self.lifecycle)
        self._watch = roster.watch
        return self.asgi

    @asynccontextmanager
    async def _start(self) -> AsyncIterator[Running]:
        config = self.config
        if self._watch is not None:
            logs.configure(config.log.level, config.log.format)
        transport = Transport()
        recorder = LineRecorder(_STDOUT) if config.log.requests else NullRecorder()
        # The recorder is outermost: it writes what the end of everything else has to say.
        async with trio.open_nursery() as recording:
            recording.start_soon(recorder.run)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(transport.maintain)
                if self._watch is not None:
                    nursery.start_soon(self._watch)
                describe = await _describer(config, nursery)
                services = Services(
                    upstream=transport,
                    health=HealthTracker(),
                    recorder=recorder,
                    lifecycle=self.lifecycle,
                    rng=random.random,
                )
                if not config.tokens:
                    _log.warning("no [[tokens]]: whoever reaches the port can use every model")
                if self._watch is not None:
                    settle_in()
                try:
                    yield Running(services, snapshot.take(config, describe, int(time.time())))
                finally:
                    await transport.aclose()
                nursery.cancel_scope.cancel("the server has stopped")
            recording.cancel_scope.cancel("the server has stopped")


def settle_in() -> None:
    """Tell the garbage collector that what was made so far stays.

    A full collection otherwise walks through every module and takes 30 ms (measured), which
    then is the slowest percent of all requests; without them it takes microseconds.
    """
    gc.collect()
    gc.freeze()


async def _describer(config: schema.Config, nursery: trio.Nursery) -> snapshot.Describe:
    """Start the demo servers that the configuration asks for; return what knows all kinds."""
    ports: dict[str, int] = {}
    for name, provider in config.providers.items():
        if provider.kind == "demo":
            ports[name] = await nursery.start(_serve_demo, provider.token_interval)

    def describe(
        name: str, provider: schema.Provider, route: schema.Route, timeouts: Timeouts
    ) -> Deployment:
        if provider.kind == "demo":
            return demo.describe(name, provider, route, timeouts, _USER_AGENT, ports[name])
        return openai.describe(name, provider, route, timeouts, _USER_AGENT)

    return describe


async def _serve_demo(interval: float, task_status: trio.TaskStatus[int]) -> None:
    await serve_demo(token_interval=interval, task_status=task_status)
