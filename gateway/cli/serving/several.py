"""The supervisor of several workers, or of one that can be replaced."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
import trio

from ... import __version__
from ...config.schema import Config
from ...config.sources.demo import FileOrDemo
from ...errors import ConfigError
from ...group.folder import VARIABLE as GROUP
from ...group.folder import group_directory, limits_socket, making_way
from ...group.limit_host import LimitHost
from ...interrupts import outliving
from ...process.memory import WORKERS, settle_in
from ...process.serving.outcomes import clear, sweep
from ...process.serving.renewal import RenewedCertificates
from ...process.serving.upgrade_file import UpgradeFile
from ...process_limits import settle_limits
from ...serve.crew.adopted import adopted
from ...serve.crew.crew import Crew
from ...serve.crew.member import INSTANCE
from ...serve.crew.supervisor import SIGNALS, supervise
from ...serve.crew.upgrade import Upgrades
from ...serve.pidfile import PidFile
from ...serve.policy import HARD_STOP_AFTER
from ...serve.sockets import ListenError, adopt, describe
from ...serve.surroundings.terminal import StartingTerminal
from ...telemetry import logs
from ...telemetry.metrics.directory import VARIABLE, shared_directory
from ..announcement import announce_ready
from ..commands.check import report
from ..listening import listen_all
from . import handover, loading
from .handover import Handover
from .succession import Succession
from .trial import started_by, tried

_log = structlog.get_logger(__name__)


def serve_several(file: Path | None, bind: str | None, workers: int) -> int:
    """Supervise `workers` processes that serve; return the exit status."""
    source = FileOrDemo(file)
    try:
        config = loading.load(source, bind)
        settle_limits()
        if config.tokens:
            os.environ[loading.WITH_TOKENS] = "1"
        # Each worker reads them for itself, and would end and be started again.
        RenewedCertificates().read(config, source.path)
    except ConfigError as exc:
        report(exc)
        return 1
    os.environ[WORKERS] = str(workers)
    os.environ[INSTANCE] = secrets.token_hex(8)
    try:
        sockets, admin = listen_all(config)
    except ListenError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    pid_path = loading.pid_path(config, source)
    sweep(pid_path)
    plan = _Plan(
        # Named, so that a worker that starts again is no demo if the file is away at the moment.
        file=None if source.is_demo else source.path,
        workers=workers,
        sockets=sockets,
        admin=admin,
        pid_path=pid_path,
        kill_after=_patience(config),
        terminal=StartingTerminal(),
        shares_limits=not config.state.url,
        announce=partial(announce_ready, config),
    )
    try:
        with contextlib.ExitStack() as stack:
            metrics = None
            if config.metrics.enabled and not os.environ.get(VARIABLE):
                metrics = stack.enter_context(shared_directory())
                os.environ[VARIABLE] = str(metrics)
            folder = stack.enter_context(group_directory())
            os.environ[GROUP] = str(folder)
            return _supervised(_Supervisor(plan, folder, metrics))
    except OSError as exc:
        sys.stderr.write(f"error: no directory for what several workers share: {exc}\n")
        return 1


def go_on(file: Path | None, bind: str | None, descriptor: int) -> int:
    """Supervise what this process supervised as another program; return the exit status.

    What it began with stays: the addresses, the number of workers, the pid file.
    """
    known = handover.read(descriptor)
    for each in known.descriptors:
        os.set_inheritable(each, False)
    config = None
    try:
        config = loading.read(FileOrDemo(file), bind)
    except ConfigError as exc:
        # It was good a moment ago, and is for the workers to read.
        report(exc)
    logs.set_up_logging(*(() if config is None else (config.log.level, config.log.format)))
    settle_limits()
    plan = _Plan(
        file=file,
        workers=known.workers,
        sockets=[adopt(each) for each in known.listeners],
        admin=[adopt(each) for each in known.admin],
        pid_path=None if known.pid_path is None else Path(known.pid_path),
        kill_after=known.kill_after if config is None else _patience(config),
        terminal=StartingTerminal(had_one=known.had_terminal),
        shares_limits=known.limits is not None if config is None else not config.state.url,
        announce=None,
    )
    _log.info("the supervisor is another program now", version=__version__)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(group_directory(Path(known.folder)))
        metrics = None
        if known.metrics is not None:
            metrics = stack.enter_context(shared_directory(Path(known.metrics)))
        return _supervised(_Supervisor(plan, folder, metrics, known))


def _supervised(supervisor: _Supervisor) -> int:
    with outliving(SIGNALS):
        return trio.run(supervisor.run)


def _patience(config: Config) -> float:
    """Return the seconds after which a worker is killed that was told to leave."""
    return config.server.drain_delay + config.server.drain_timeout + 2 * HARD_STOP_AFTER


@dataclass(frozen=True)
class _Plan:
    """What is supervised. `announce` tells people once it serves, unless they know."""

    file: Path | None
    workers: int
    sockets: list[socket.socket]
    admin: list[socket.socket]
    pid_path: Path | None
    kill_after: float
    terminal: StartingTerminal
    shares_limits: bool
    announce: Callable[[list[str], list[str]], None] | None


class _Supervisor:
    """`folder` is what the workers share, `metrics` that of their counters if it is ours; `known`
    is what this process knows from when it was another program.
    """

    def __init__(
        self, plan: _Plan, folder: Path, metrics: Path | None, known: Handover | None = None
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._metrics = metrics
        self._known = known
        self._admin_fds = [sock.fileno() for sock in plan.admin]
        self._addresses = [describe(sock) for sock in plan.sockets]
        self._pid_file = PidFile(plan.pid_path)
        self._upgrade_file = UpgradeFile(plan.pid_path)
        self._announce = plan.announce
        self._limits = LimitHost(limits_socket(folder)) if plan.shares_limits else None
        self._crew = Crew(
            self._command,
            plan.sockets,
            plan.workers,
            plan.kill_after,
            on_ready=self._ready,
            make_way=partial(making_way, folder, plan.workers),
            pass_fds=self._admin_fds,
        )
        command = [*self._serve_command(), "--workers", str(plan.workers)]
        self._upgrades = Upgrades(
            self._crew,
            self._try,
            self._upgrade_file.write,
            Succession(command, self._crew, self._limits, self._handover),
            () if known is None else known.upgrades,
        )

    async def run(self) -> int:
        """Supervise, and announce the gateway when the first worker is ready.

        Workers share their limits here, unless there is a server for that.
        """
        plan = self._plan
        settle_in()
        if self._known is not None:
            self._take_over(self._known)
        try:
            async with trio.open_nursery() as nursery:
                if self._limits is not None:
                    await nursery.start(self._limits.run)
                status = await supervise(
                    self._crew,
                    sockets=plan.sockets,
                    kill_after=plan.kill_after,
                    upgrades=self._upgrades,
                    terminal=plan.terminal,
                )
                nursery.cancel_scope.cancel("every worker has left")
            return status
        finally:
            for sock in plan.admin:
                sock.close()
            self._upgrade_file.remove()
            clear(plan.pid_path)
            self._pid_file.remove()

    def _ready(self) -> None:
        announce, self._announce = self._announce, None
        if announce is None:
            return
        self._upgrade_file.write()
        self._pid_file.write()
        announce(self._addresses, [describe(sock) for sock in self._plan.admin])

    def _take_over(self, known: Handover) -> None:
        self._crew.adopt(
            [adopted(each) for each in known.members],
            {each.pid for each in known.members if each.at_post},
        )
        if known.pid_file is not None:
            self._pid_file.adopt(known.pid_file)
        if known.asked:
            self._upgrades.ask()
        ledger = known.ledger
        if self._limits is not None and ledger is not None:
            self._limits.take_over(ledger, time.monotonic() - known.at)

    def _handover(self) -> Handover:
        plan = self._plan
        return Handover(
            workers=plan.workers,
            listeners=tuple(sock.fileno() for sock in plan.sockets),
            admin=tuple(self._admin_fds),
            folder=str(self._folder),
            metrics=None if self._metrics is None else str(self._metrics),
            pid_file=self._pid_file.descriptor,
            pid_path=None if plan.pid_path is None else str(plan.pid_path),
            upgrades=tuple(self._upgrades.kept),
            asked=self._upgrades.asked,
            at=time.monotonic(),
            had_terminal=plan.terminal.had_one,
            kill_after=plan.kill_after,
        )

    async def _try(self) -> str:
        return await tried([*self._serve_command(), "--trial"])

    def _serve_command(self) -> list[str]:
        file = self._plan.file
        return [
            *(*started_by(), "serve"),
            *(("--config", str(file)) if file else ()),
            *("--bind", self._addresses[0]),
        ]

    def _command(self, listeners: Sequence[int], lifeline: int, words: int) -> Sequence[str]:
        return [
            *self._serve_command(),
            *(argument for fd in listeners for argument in ("--listen-fds", str(fd))),
            *(argument for fd in self._admin_fds for argument in ("--admin-fds", str(fd))),
            *("--lifeline-fd", str(lifeline)),
            *("--ready-fd", str(words)),
        ]
