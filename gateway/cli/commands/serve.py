"""`gateway serve`: one worker in this process, or a supervisor of several."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog
import trio

from ...config import load
from ...config.checks.binding import with_bind
from ...config.checks.vanished import opened
from ...config.paths import config_path
from ...config.pid_path import pid_path
from ...config.schema import Config
from ...errors import ConfigError
from ...group.folder import VARIABLE as GROUP
from ...group.folder import group_directory
from ...process.application import Application
from ...process.memory import WORKERS, settle_in
from ...serve.pidfile import PidFile
from ...serve.sighup import SighupReloads
from ...serve.sockets import ListenError, adopt, describe, listen
from ...serve.supervisor import supervise
from ...serve.worker import (
    FAILED_STATUS,
    HARD_STOP_AFTER,
    ServiceFailed,
    StartupFailed,
    serve_worker,
)
from ...telemetry import logs
from ...telemetry.metrics.directory import VARIABLE, shared_directory
from ..output.announcement import announce, pages_line
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
    application = Application()
    # Before the file is read, so that what changes in it from then on is not missed.
    hangups = SighupReloads(application.reload_by_signal)
    config = _load(file, bind)
    if config is None:
        return 1
    if inherited and (problem := opened(_WITH_TOKENS in os.environ, config)):
        report(ConfigError([f"{file or config_path()}: {problem}"]))
        return 1
    application.use(config, partial(_read, file, bind), file or config_path())
    if inherited:
        application.spread = _telling_supervisor()
    # Of several workers the supervisor is the one to signal.
    pid_file = PidFile(None if inherited else _pid_path(config, file))
    try:
        if inherited:
            sockets = [adopt(descriptor) for descriptor in inherited.listeners]
            application.admin_sockets = [adopt(descriptor) for descriptor in inherited.admin]
        else:
            sockets, application.admin_sockets = _listen(config)
        trio.run(
            partial(
                serve_worker,
                application.asgi,
                sockets=sockets,
                policy=application.serving_policy,
                lifecycle=application.lifecycle,
                hangups=hangups,
                on_ready=partial(_ready, config, inherited, pid_file, application.admin_sockets),
                lifeline=inherited.lifeline if inherited else None,
            )
        )
    except (ListenError, StartupFailed) as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    except ServiceFailed:
        return FAILED_STATUS
    except Exception:  # noqa: BLE001  # a supervisor starts another process, which begins anew
        _log.critical("the gateway has failed and ends", exc_info=True)
        return FAILED_STATUS
    finally:
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
    config = _load(file, bind)
    if config is None:
        return 1
    if config.tokens:
        os.environ[_WITH_TOKENS] = "1"
    os.environ[WORKERS] = str(workers)
    if limited := _limited(config):
        _log.warning("limits are counted by each worker for itself", limited=limited)
    try:
        sockets, admin = _listen(config)
    except ListenError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    pid_file = PidFile(_pid_path(config, file))
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


def _limited(config: Config) -> list[str]:
    """Return the tables that set a limit which several processes do not share."""
    tables: list[tuple[str, Iterable[object]]] = [
        ("[limits]", [config.limits]),
        ("[providers]", config.providers.values()),
        ("[[tokens]]", config.tokens),
    ]
    return [
        name
        for name, found in tables
        if any(
            getattr(each, key, None) is not None
            for each in found
            for key in ("rpm", "tpm", "max_concurrent", "budget")
        )
    ]


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
    pages = pages_line(config, addresses, admin)
    admin_fds = [sock.fileno() for sock in admin]

    async def tell() -> None:
        async with trio.lowlevel.FdStream(ready_read) as ready:
            await ready.receive_some(1)
            pid_file.write()
            announce(config, addresses, pages)
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


def _read(file: Path | None, bind: str | None) -> Config:
    """Return what the file says, but for the address of the command line. Raises ConfigError."""
    config = load.load(file or config_path())
    return config if bind is None else with_bind(config, bind)


def _load(file: Path | None, bind: str | None) -> Config | None:
    try:
        config = _read(file, bind)
    except ConfigError as exc:
        report(exc)
        return None
    logs.set_up_logging(config.log.level, config.log.format)
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


def _pid_path(config: Config, file: Path | None) -> Path | None:
    return pid_path(file or config_path(), config.server.pid_file)


def _ready(
    config: Config,
    inherited: InheritedDescriptors | None,
    pid_file: PidFile,
    admin: Sequence[socket.socket],
    addresses: list[str],
) -> None:
    settle_in()
    pid_file.write()
    if inherited is None:
        announce(config, addresses, pages_line(config, addresses, admin))
    elif inherited.ready is not None:
        os.write(inherited.ready, b"\n")
        os.close(inherited.ready)


def _listen(config: Config) -> tuple[list[socket.socket], list[socket.socket]]:
    """Return what listens for callers, and at the admin API's own address. Raises ListenError."""
    patience, admin = config.server.send_timeout, config.admin
    sockets = listen([config.server.bind], send_timeout=patience)
    if not (admin.enabled and admin.bind):
        return sockets, []
    try:
        return sockets, listen([admin.bind], send_timeout=patience)
    except ListenError:
        for sock in sockets:
            sock.close()
        raise
