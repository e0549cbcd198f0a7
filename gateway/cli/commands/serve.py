"""`gateway serve`: one worker in this process, or a supervisor of several."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog
import trio

from ...config.checks.binding import with_bind
from ...config.checks.file_mode import readable_secrets
from ...config.checks.vanished import opened
from ...config.pid_path import pid_path as pid_path_of
from ...config.schema import Config
from ...config.sources.demo import FileOrDemo
from ...config.sources.state import state_folder
from ...errors import ConfigError
from ...group.folder import VARIABLE as GROUP
from ...group.folder import group_directory
from ...process.application import Application
from ...process.memory import WORKERS, settle_in
from ...process.serving.outcomes import ToldReloads, sweep
from ...process.serving.renewal import RenewedCertificates
from ...process_limits import settle_limits
from ...serve.pidfile import PidFile
from ...serve.sighup import SighupReloads
from ...serve.sockets import ListenError, adopt, describe
from ...serve.supervisor import INSTANCE, WORKER, supervise
from ...serve.worker import (
    FAILED_STATUS,
    HARD_STOP_AFTER,
    ServiceFailed,
    StartupFailed,
    serve_worker,
)
from ...telemetry import logs
from ...telemetry.metrics.directory import VARIABLE, shared_directory
from ..announcement import announce_demo, announce_ready
from ..listening import limited_tables, listen_all
from .check import report

# In a worker's environment: the supervisor's configuration has tokens. Without it a worker that
# is started again while the file is half-written would be open to everyone.
_WITH_TOKENS: Final = "GATEWAY_WITH_TOKENS"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class InheritedDescriptors:
    """Descriptors that a worker inherits from its supervisor."""

    listeners: tuple[int, ...]
    lifeline: int | None
    ready: int | None
    admin: tuple[int, ...] = ()


def serve_one(file: Path | None, bind: str | None, inherited: InheritedDescriptors | None) -> int:
    """Serve in this process; return the exit status."""
    settle_limits()
    application = Application()
    # Before the file is read, so that what changes in it from then on is not missed.
    reloads = ToldReloads(application.reload_by_signal)
    hangups = SighupReloads(reloads)
    source = FileOrDemo(file)
    config = _load(source, bind)
    if config is None:
        return 1
    if inherited and (problem := opened(_WITH_TOKENS in os.environ, config)):
        report(ConfigError([f"{source.path}: {problem}"]))
        return 1
    application.use(config, partial(_read, source, bind), source.path)
    if inherited:
        application.spread = _telling_supervisor()
    # Of several workers the supervisor is the one to signal.
    pid_path = _pid_path(config, source)
    pid_file = PidFile(None if inherited else pid_path)

    def tell() -> None:
        if not inherited:
            sweep(pid_path)
        reloads.begin(pid_path, supervised=inherited is not None)

    try:
        certificates = application.certificates.read(config, source.path)
        if inherited:
            sockets = [adopt(descriptor) for descriptor in inherited.listeners]
            application.admin_sockets = [adopt(descriptor) for descriptor in inherited.admin]
        else:
            sockets, application.admin_sockets = listen_all(config)
        trio.run(
            partial(
                serve_worker,
                application.asgi,
                sockets=sockets,
                policy=application.serving_policy,
                lifecycle=application.lifecycle,
                hangups=hangups,
                on_ready=partial(
                    _ready, config, inherited, pid_file, tell, application.admin_sockets
                ),
                lifeline=inherited.lifeline if inherited else None,
                certificates=certificates,
            )
        )
    except (ConfigError, ListenError, StartupFailed) as exc:
        report(exc if isinstance(exc, ConfigError) else ConfigError([str(exc)]))
        return 1
    except ServiceFailed:
        return FAILED_STATUS
    except Exception:  # noqa: BLE001  # a supervisor starts another process, which begins anew
        _log.critical("the gateway has failed and ends", exc_info=True)
        return FAILED_STATUS
    finally:
        reloads.end()
        pid_file.remove()
    return 0


def _telling_supervisor() -> Callable[[], None]:
    """Return what makes the supervisor ask all its workers to reload."""
    supervisor = os.getppid()

    def spread() -> None:
        # If the supervisor has died, its process id may be another process's; this worker ends too.
        if os.getppid() == supervisor:
            os.kill(supervisor, signal.SIGHUP)

    return spread


def serve_several(file: Path | None, bind: str | None, workers: int) -> int:
    """Supervise `workers` processes that serve; return the exit status."""
    source = FileOrDemo(file)
    config = _load(source, bind)
    if config is None:
        return 1
    settle_limits()
    if config.tokens:
        os.environ[_WITH_TOKENS] = "1"
    try:
        # Each worker reads them for itself, and would end and be started again.
        RenewedCertificates().read(config, source.path)
    except ConfigError as exc:
        report(exc)
        return 1
    os.environ[WORKERS] = str(workers)
    os.environ[INSTANCE] = secrets.token_hex(8)
    if limited := limited_tables(config):
        _log.warning("limits are counted by each worker for itself", limited=limited)
    try:
        sockets, admin = listen_all(config)
    except ListenError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    pid_path = _pid_path(config, source)
    pid_file = PidFile(pid_path)
    sweep(pid_path)
    # Named, so that a worker that starts again is no demo if the file is away at the moment.
    file = None if source.is_demo else source.path
    try:
        with contextlib.ExitStack() as stack:
            if config.metrics.enabled and not os.environ.get(VARIABLE):
                os.environ[VARIABLE] = str(stack.enter_context(shared_directory()))
            os.environ[GROUP] = str(stack.enter_context(group_directory()))
            return trio.run(_supervise, config, file, workers, sockets, admin, pid_file)
    except OSError as exc:
        sys.stderr.write(f"error: no directory for what several workers share: {exc}\n")
        return 1
    finally:
        pid_file.remove()


async def _supervise(
    config: Config,
    file: Path | None,
    workers: int,
    sockets: list[socket.socket],
    admin: list[socket.socket],
    pid_file: PidFile,
) -> int:
    """Supervise, and announce the gateway when the first worker is ready."""
    server = config.server
    ready_read, ready_write = os.pipe()
    addresses = [describe(sock) for sock in sockets]
    admin_addresses = [describe(sock) for sock in admin]
    admin_fds = [sock.fileno() for sock in admin]

    async def tell() -> None:
        async with trio.lowlevel.FdStream(ready_read) as ready:
            await ready.receive_some(1)
            pid_file.write()
            announce_ready(config, addresses, admin_addresses)
            # Read on for the other workers: writing to a pipe without a reader would end them.
            while await ready.receive_some():
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell)
        try:
            status = await supervise(
                partial(_command, file, addresses[0], ready_write, admin_fds),
                sockets=sockets,
                workers=workers,
                kill_after=server.drain_delay + server.drain_timeout + 2 * HARD_STOP_AFTER,
                pass_fds=(ready_write, *admin_fds),
            )
        finally:
            os.close(ready_write)
            for sock in admin:
                sock.close()
        nursery.cancel_scope.cancel("every worker has left")
    return status


def _read(source: FileOrDemo, bind: str | None) -> Config:
    """Return what the file says, but for the address of the command line. Raises ConfigError."""
    config = source.read()
    return config if bind is None else with_bind(config, bind)


def _load(source: FileOrDemo, bind: str | None) -> Config | None:
    try:
        config = _read(source, bind)
    except ConfigError as exc:
        report(exc)
        return None
    logs.set_up_logging(config.log.level, config.log.format)
    if source.is_demo and WORKER not in os.environ:
        announce_demo(source.path)
    if WORKER not in os.environ and (note := readable_secrets(source.path)) is not None:
        _log.warning(note)
    return config


def _command(
    file: Path | None,
    bind: str,
    ready: int,
    admin: Sequence[int],
    listeners: Sequence[int],
    lifeline: int,
) -> Sequence[str]:
    return [
        *(sys.executable, "-m", "gateway", "serve"),
        *(("--config", str(file)) if file else ()),
        *("--bind", bind),
        *(argument for fd in listeners for argument in ("--listen-fds", str(fd))),
        *(argument for fd in admin for argument in ("--admin-fds", str(fd))),
        *("--lifeline-fd", str(lifeline)),
        *("--ready-fd", str(ready)),
    ]


def _pid_path(config: Config, source: FileOrDemo) -> Path | None:
    server = config.server
    return pid_path_of(source.path, server.pid_file, state_folder(source.path, server.state_dir))


def _ready(
    config: Config,
    inherited: InheritedDescriptors | None,
    pid_file: PidFile,
    tell: Callable[[], None],
    admin: Sequence[socket.socket],
    addresses: list[str],
) -> None:
    settle_in()
    tell()
    pid_file.write()
    if inherited is None:
        announce_ready(config, addresses, [describe(sock) for sock in admin])
    elif inherited.ready is not None:
        os.write(inherited.ready, b"\n")
        os.close(inherited.ready)
