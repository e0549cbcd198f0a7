"""One process's gateway, put together.

This module, `components.py` and `cli/` are the only ones that know every part by name.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path

import structlog
import trio

from ..api.asgi_app import AsgiApp, Runtime
from ..background import persist
from ..config import schema
from ..config.checks.openness import check_start
from ..config.paths import config_path
from ..config.pid_path import pid_path
from ..config.reload_status import AppliedReload, ReloadOutcome, ReloadStatus
from ..config.snapshot import Snapshot
from ..config.sources.demo import FileOrDemo
from ..config.sources.state import make_folder, state_folder
from ..core.processes import ProcessRow
from ..errors import InternalError
from ..lifecycle import Lifecycle
from ..serve.install import install
from ..serve.pidfile import PidFile
from ..serve.policy import ServingPolicy
from ..serve.sighup import SighupReloads
from ..telemetry import logs
from ..telemetry.stderr import in_background
from . import gauges
from .administration.wiring import Administration, public_path
from .components import Components
from .memory import settle_in
from .metrics import metrics_of
from .recording import Recording
from .reloader import Reloader
from .reread import Source, read_again, warn
from .serving.outcomes import ToldReloads
from .serving.policy import serving_policy
from .serving.renewal import RenewedCertificates
from .shared.following import Following
from .shared.limits import counts_alone

_log = structlog.get_logger(__name__)


class Application:
    """One process's gateway: its configuration, its lifecycle, its ASGI app.

    Hypercorn imports the app before anything is known; the configuration is read when the
    server starts it, or earlier by `use`. `spread` is called when an admin has reloaded this
    process, to have the others of the same gateway do the same. `admin_sockets` listen at the admin
    API's own address, if it has one.
    """

    def __init__(self) -> None:
        self.lifecycle = Lifecycle()
        self.asgi = AsgiApp(self.lifecycle, self._start)
        self.spread: Callable[[], None] | None = None
        self.admin_sockets: Sequence[socket.socket] = ()
        self.certificates = RenewedCertificates()
        self._config: schema.Config | None = None
        self._path = config_path()
        self._source: Source = FileOrDemo(None).read
        self._reloader: Reloader | None = None
        self._recording: Recording | None = None
        self._following: Following | None = None
        self._administration: Administration | None = None
        self._watch: Callable[[], Awaitable[None]] | None = None

    def use(
        self, config: schema.Config, source: Source | None = None, path: Path | None = None
    ) -> None:
        """Run on `config` instead of reading a file.

        A reload asks `source`, else it reads `path`, which also is what people are told.
        """
        self._config = config
        self._path = path or self._path
        self._source = source or (FileOrDemo(path).read if path else self._source)

    @property
    def config(self) -> schema.Config:
        """Return the configuration in use, read at the first call. Raises ConfigError."""
        if self._config is None:
            self._config = self._source()
        return self._config

    @property
    def folder(self) -> Path:
        """Return the folder of all that the gateway writes."""
        return state_folder(self._path, self.config.server.state_dir)

    @property
    def reload_status(self) -> ReloadStatus:
        """Return which configuration is in use, and how the last reload went."""
        if self._reloader is None:
            raise InternalError("the gateway is not running")
        return self._reloader.status

    async def reload(self, cause: str) -> ReloadOutcome:
        """Read the configuration again and go on with it; raise nothing if that can't be.

        `cause` is for the log. Reloads are made one after the other; a call during one gets the
        next.
        """
        if self._reloader is None:
            return ReloadOutcome(0, problems=("the gateway is not running",))
        return await self._reloader.reload(cause)

    async def reload_by_signal(self, cause: str) -> ReloadOutcome:
        """Reload because this process got a signal; the audit log does not know its sender."""
        outcome = await self.reload(cause)
        if self._recording is not None:
            self._recording.audit_reload(outcome, cause)
        return outcome

    async def reload_everywhere(self, cause: str) -> ReloadOutcome:
        """Reload this process and, if it could, tell the others."""
        outcome = await self.reload(cause)
        if outcome.reloaded and self.spread is not None:
            self.spread()
        if outcome.reloaded and self._following is not None:
            await self._following.order_reload()
        return outcome

    def serving_policy(self) -> ServingPolicy:
        """Return the part of the configuration that the server needs."""
        return serving_policy(self.config)

    def install(self) -> AsgiApp:
        """Prepare this process for Hypercorn's command line, and return the ASGI app.

        `gateway serve` does the same by itself. The command line knows nothing of our logs,
        drain or sockets, so the app brings along what it can.
        """
        connections = install(self.serving_policy, self.lifecycle)
        self._watch = connections.watch
        return self.asgi

    @asynccontextmanager
    async def _start(self) -> AsyncIterator[Runtime]:
        with in_background() if self._watch is not None else nullcontext():
            async with self._started() as running:
                yield running

    @asynccontextmanager
    async def _started(self) -> AsyncIterator[Runtime]:
        # Before the file is read, so that what changes in it from then on is not missed.
        reloads = ToldReloads(self.reload_by_signal)
        hangups = SighupReloads(reloads) if self._watch is not None else None
        config = self.config
        if self._watch is not None:
            logs.set_up_logging(config.log.level, config.log.format)
        make_folder(self.folder, self._path)
        recording = self._recording = Recording(config, self.folder, self.lifecycle)
        # Outermost, since it also writes what happens while everything else ends.
        async with trio.open_nursery() as recorders:
            await recording.start(recorders)
            async with trio.open_nursery() as nursery:
                parts = Components(config, self.lifecycle, recording, nursery)
                await parts.start()
                if self._watch is not None:
                    nursery.start_soon(self._watch)
                await parts.prepare(config, self.folder)
                running = await self._running(parts, recording, config)
                check_start(running.snapshot.open and not self._watch, config.server, self._path)
                await self._recall(recording, parts, running, nursery)
                warn(config)
                self._reloader = Reloader(str(self._path), lambda: self._replace(parts, running))
                nursery.start_soon(self._reloader.run)
                nursery.start_soon(persist, recording.maintain)
                assert self._following is not None
                self._following.start(nursery)
                assert self._administration is not None
                self._administration.start(config, nursery)
                metrics = metrics_of(
                    config, running, recording, lambda: self.reload_status, nursery
                )
                pid_file = PidFile(None)
                if hangups is not None:
                    settle_in()
                    nursery.start_soon(hangups.obey)
                    # Each worker has its line: a SIGHUP to Hypercorn's parent would end them all.
                    pid_file = PidFile(pid_path(self._path, config.server.pid_file, self.folder))
                    reloads.begin(pid_file.path)
                    pid_file.write()
                # From now on: how late the start has made the loop says nothing of what is to
                # come, and the first requests would be turned away for it.
                nursery.start_soon(parts.services.traffic.lag.watch)
                try:
                    yield running
                finally:
                    reloads.end()
                    pid_file.remove()
                    await self._administration.finish()
                    await parts.finish()
                nursery.cancel_scope.cancel("the server has stopped")
            recorders.cancel_scope.cancel("the server has stopped")
        if metrics is not None:
            metrics.close()
        recording.close()

    async def _running(
        self, parts: Components, recording: Recording, config: schema.Config
    ) -> Runtime:
        def replace(change: Callable[[Snapshot], Snapshot]) -> None:
            running.snapshot = change(running.snapshot)

        def row(**more: object) -> ProcessRow:
            status = None if self._reloader is None else self._reloader.status
            return gauges.row_of(parts.services, status, parts.presence, **more)

        def reload() -> None:
            if self._reloader is not None:
                self._reloader.follow()

        following = self._following = Following(
            recording,
            parts.health,
            parts.services.in_flight,
            replace,
            row,
            parts.presence,
            parts.roll,
            reload,
        )
        if parts.news is not None:
            parts.news.look, following.tell = following.hurry, parts.news.announce_orders
            parts.news.reload, following.tell_reload = reload, parts.news.announce_reload
        administration = self._administration = Administration(
            self,
            parts,
            self.lifecycle,
            recording,
            lambda: running.snapshot,
            self.serving_policy,
            following.look,
            self.admin_sockets,
        )
        found = await following.begin(config)
        taken = following.adopt(config, parts.adopt(config, found.callers), found)
        running = Runtime(parts.services, taken, administration.api, admin_path=public_path(config))
        return running

    async def _recall(
        self, recording: Recording, parts: Components, running: Runtime, nursery: trio.Nursery
    ) -> None:
        """Let budgets go on with what is on record, if there is a database."""
        if recording.database is None:
            return
        from .budgets import BudgetSync

        limits, writer = parts.services.limits, recording.writer
        spending = BudgetSync(
            recording.database,
            limits,
            lambda: running.snapshot,
            writer,
            recording.leadership,
            counts_alone(limits, self.config),
        )
        await spending.begin()
        nursery.start_soon(persist, spending.run)

    async def _replace(self, parts: Components, running: Runtime) -> AppliedReload:
        """Go on with what the source has now.

        Raises ConfigError, and then nothing has changed.
        """
        following = self._following
        assert following is not None
        # A file that hangs, on a network disk say, must not keep the process from its exit.
        loaded = await trio.to_thread.run_sync(
            partial(read_again, closed=following.closed),
            self._source,
            self.config,
            self._path,
            following.callers,
            abandon_on_cancel=True,
        )
        old, config = self.config, loaded.config
        await parts.prepare(config, self.folder)
        await self.certificates.renew()
        # From here on nothing is awaited until all follow the new configuration.
        taken = parts.adopt(config, loaded.callers.callers)
        running.snapshot = following.adopt(config, taken, loaded.callers)
        self._config = config
        parts.recording.audit_tokens(loaded.changed_tokens)
        if config.log != old.log:
            logs.set_up_logging(config.log.level, config.log.format)
        warn(config, old)
        await parts.services.forget_limits(running.snapshot)
        return AppliedReload(loaded.held, loaded.changed, loaded.gone)
