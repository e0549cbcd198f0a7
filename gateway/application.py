"""One process's gateway, put together.

This module, `parts.py` and `cli/` are the only ones that know every part by name.
"""

from __future__ import annotations

import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import structlog
import trio

from .config import load, schema
from .config.advice import advice
from .config.paths import config_path
from .config.pid_path import pid_path
from .config.reload import Outcome, Standing, hold_fixed
from .config.snapshot import Caller, callers_of
from .errors import InternalError
from .lifecycle import Lifecycle
from .parts import Parts
from .reload import Reloader
from .serve.hangup import Hangups
from .serve.install import install
from .serve.pidfile import PidFile
from .serve.policy import ServingPolicy
from .server.gateway import Gateway, Running
from .telemetry import logs
from .telemetry.records import LineRecorder, NullRecorder

_STDOUT = 1
# A hundred thousand tokens may all be over.
_MAX_NOTES = 20

# Reads and checks a configuration; raises ConfigError.
Source = Callable[[], schema.Config]

_log = structlog.get_logger(__name__)


class Application:
    """One process's gateway: its configuration, its lifecycle, its ASGI app.

    Hypercorn imports the app before anything is known; the configuration is read when the
    server starts it, or earlier by `use`. `spread` is called when an admin has reloaded this
    process, to have the others of the same gateway do the same.
    """

    def __init__(self) -> None:
        self.lifecycle = Lifecycle()
        self.asgi = Gateway(self.lifecycle, self._start)
        self.spread: Callable[[], None] | None = None
        self._config: schema.Config | None = None
        self._path = config_path()
        self._source: Source = lambda: load.load(self._path)
        self._reloader: Reloader | None = None
        self._watch: Callable[[], Awaitable[None]] | None = None

    def use(
        self, config: schema.Config, source: Source | None = None, path: Path | None = None
    ) -> None:
        """Run on `config` instead of reading a file.

        A reload asks `source`, else it reads `path`, which also is what people are told.
        """
        self._config = config
        self._path = path or self._path
        self._source = source or self._source

    @property
    def config(self) -> schema.Config:
        """Return the configuration in use, read at the first call. Raises ConfigError."""
        if self._config is None:
            self._config = self._source()
        return self._config

    @property
    def standing(self) -> Standing:
        """Return which configuration is in use, and how the last reload went."""
        if self._reloader is None:
            raise InternalError("the gateway is not running")
        return self._reloader.standing

    async def reload(self, cause: str) -> Outcome:
        """Read the configuration again and go on with it; raise nothing if that can't be.

        `cause` is for the log. Reloads are made one after the other; whoever asks during one
        gets the next.
        """
        if self._reloader is None:
            return Outcome(0, problems=("the gateway is not running",))
        return await self._reloader.reload(cause)

    async def reload_everywhere(self, cause: str) -> Outcome:
        """Reload this process and, if it could, tell the others."""
        outcome = await self.reload(cause)
        if outcome.reloaded and self.spread is not None:
            self.spread()
        return outcome

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
        # Before the file is read, so that what changes in it from then on is not missed.
        hangups = Hangups(self.reload) if self._watch is not None else None
        config = self.config
        if self._watch is not None:
            logs.configure(config.log.level, config.log.format)
        recorder = LineRecorder(_STDOUT) if config.log.requests else NullRecorder()
        # The recorder is outermost: it writes what the end of everything else has to say.
        async with trio.open_nursery() as recording:
            recording.start_soon(recorder.run)
            async with trio.open_nursery() as nursery:
                parts = Parts(config, self.lifecycle, recorder, nursery)
                await parts.start()
                if self._watch is not None:
                    nursery.start_soon(self._watch)
                await parts.prepare(config)
                running = Running(parts.services, parts.adopt(config, callers_of(config)), self)
                _warn(config)
                self._reloader = Reloader(str(self._path), lambda: self._replace(parts, running))
                nursery.start_soon(self._reloader.run)
                pid_file = PidFile(None)
                if hangups is not None:
                    settle_in()
                    nursery.start_soon(hangups.obey)
                    # Each worker has its line: what signals reach Hypercorn's parent end them.
                    pid_file = PidFile(pid_path(self._path, config.server.pid_file))
                    pid_file.write()
                try:
                    yield running
                finally:
                    pid_file.remove()
                    await parts.transport.aclose()
                nursery.cancel_scope.cancel("the server has stopped")
            recording.cancel_scope.cancel("the server has stopped")

    async def _replace(self, parts: Parts, running: Running) -> tuple[str, ...]:
        """Go on with what the source has now; return what of it needs a restart.

        Raises ConfigError, and then nothing has changed.
        """
        # A file that hangs, on a network disk say, must not keep the process from its exit.
        loaded, callers = await trio.to_thread.run_sync(_read, self._source, abandon_on_cancel=True)
        old = self.config
        config, held = hold_fixed(old, loaded)
        await parts.prepare(config)
        # From here on nothing is awaited.
        running.snapshot = parts.adopt(config, callers)
        self._config = config
        if config.log != old.log:
            logs.configure(config.log.level, config.log.format)
        _warn(config)
        return held


def _read(source: Source) -> tuple[schema.Config, Mapping[bytes, Caller]]:
    config = source()
    return config, callers_of(config)


def _warn(config: schema.Config) -> None:
    if not config.tokens:
        _log.warning("no [[tokens]]: whoever reaches the port can use every model")
    for note in islice(advice(config, time.time()), _MAX_NOTES):
        _log.warning("configuration: probably not meant", note=note)


def settle_in() -> None:
    """Tell the garbage collector that what was made so far stays.

    A full collection otherwise walks through every module and takes 30 ms (measured), which
    then is the slowest percent of all requests; without them it takes microseconds.
    """
    gc.collect()
    gc.freeze()
